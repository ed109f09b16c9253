/// A strict HTTP/1.1 request parser (RFC 9112) without I/O. It is fed what arrives, split anywhere,
/// and gives the same events for any split (body parts are split differently, their bytes are the
/// same). What two readers could take differently is refused, not guessed.
package struct RequestParser {
  package enum Event: Sendable {
    case head(RequestHead)
    /// Part of the body: a range of the bytes given.
    case body(Range<Int>)
    /// The request is complete; what follows is the next one.
    case end
  }

  private enum State {
    case head
    case length(remaining: Int)
    case chunked(ChunkedDecoder)
    /// The body is complete; its event is not out yet.
    case ending
    case failed(RequestFailure)
  }

  private let bodyBytesMax: Int
  private var state = State.head
  private var head = HeadParser()

  package init(bodyBytesMax: Int) { self.bodyBytesMax = bodyBytesMax }

  /// Nothing of a request has come yet.
  package var isBetweenRequests: Bool {
    if case .head = state { head.isEmpty } else { false }
  }

  /// The next event at or after `offset`, which moves on; nil when all bytes are used up. A failure
  /// is for good: nothing after it can be told apart. A body over the limit fails with the call
  /// after its head, so that its owner knows what was asked.
  package mutating func next(
    _ bytes: UnsafeRawBufferPointer, at offset: inout Int
  ) throws(RequestFailure) -> Event? {
    do throws(RequestFailure) {
      return try read(bytes, &offset)
    } catch {
      state = .failed(error)
      throw error
    }
  }

  private mutating func read(
    _ bytes: UnsafeRawBufferPointer, _ offset: inout Int
  ) throws(RequestFailure) -> Event? {
    switch state {
    case .head:
      guard let head = try head.next(bytes, at: &offset) else { return nil }
      switch head.framing {
      case .none: state = .ending
      case .length(let length): state = .length(remaining: length)
      case .chunked: state = .chunked(ChunkedDecoder(bytesMax: bodyBytesMax))
      }
      return .head(head)
    case .length(let remaining):
      // Only right after the head: what remains can never grow again.
      guard remaining <= bodyBytesMax else { throw .bodyTooLarge(bytesMax: bodyBytesMax) }
      guard offset < bytes.count else { return nil }
      let range = offset..<min(bytes.count, offset + remaining)
      state = range.count == remaining ? .ending : .length(remaining: remaining - range.count)
      offset = range.upperBound
      return .body(range)
    case .chunked(var decoder):
      return try readChunked(&decoder, bytes, &offset)
    case .ending:
      state = .head
      return .end
    case .failed(let failure): throw failure
    }
  }

  private mutating func readChunked(
    _ decoder: inout ChunkedDecoder, _ bytes: UnsafeRawBufferPointer, _ offset: inout Int
  ) throws(RequestFailure) -> Event? {
    // Taken out of `state`, so that the decoder's buffer is not copied when it is written to.
    state = .ending
    do throws(ChunkFailure) {
      switch try decoder.next(bytes, at: &offset) {
      case .end?:
        state = .head
        return .end
      case .data(let range)?:
        state = .chunked(decoder)
        return .body(range)
      case nil:
        state = .chunked(decoder)
        return nil
      }
    } catch {
      switch error {
      case .malformed(let reason): throw .malformed(reason)
      case .trailersTooLarge(let reason): throw .headersTooLarge(reason)
      case .bodyTooLarge: throw .bodyTooLarge(bytesMax: bodyBytesMax)
      }
    }
  }
}
