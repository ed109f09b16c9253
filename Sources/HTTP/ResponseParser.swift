/// Reads one answer from pieces split anywhere (RFC 9112), without I/O.
struct ResponseParser {
  enum Event {
    case head(status: Int, HTTPFields)
    /// Part of the body: a range of the bytes given.
    case body(Range<Int>)
    case end
  }

  private enum State {
    case head
    case length(remaining: Int)
    case chunked(ChunkedDecoder)
    case untilClose
    case ending
  }

  private let isHeadRequest: Bool
  private var state = State.head
  private var head = ResponseHeadBuilder()
  private var line: [UInt8] = []
  /// The connection can carry another exchange after this one; known with the head.
  private(set) var keepsAlive = false

  init(method: HTTPMethod) { isHeadRequest = method == .head }

  /// The next event at or after `offset`; nil when the bytes end before it.
  mutating func next(
    _ bytes: UnsafeRawBufferPointer, at offset: inout Int
  ) throws(TransportFailure) -> Event? {
    switch state {
    case .head: return try readHead(bytes, &offset)
    case .length(let remaining):
      guard offset < bytes.count else { return nil }
      let range = offset..<min(bytes.count, offset + remaining)
      state = range.count == remaining ? .ending : .length(remaining: remaining - range.count)
      offset = range.upperBound
      return .body(range)
    case .chunked(var decoder): return try readChunked(&decoder, bytes, &offset)
    case .untilClose:
      guard offset < bytes.count else { return nil }
      defer { offset = bytes.count }
      return .body(offset..<bytes.count)
    case .ending: return .end
    }
  }

  /// The connection has ended: whether that ends the answer well.
  var endsWithConnection: Bool {
    if case .untilClose = state { true } else { false }
  }

  private mutating func readHead(
    _ bytes: UnsafeRawBufferPointer, _ offset: inout Int
  ) throws(TransportFailure) -> Event? {
    while offset < bytes.count {
      let lineFeed = Byte.firstIndex(of: Byte.lineFeed, in: bytes, from: offset, to: bytes.count)
      let end = lineFeed.map { $0 + 1 } ?? bytes.count
      guard line.count + end - offset <= HTTPLimits.headBytesMax else {
        throw .protocolViolation("the answer's head is over \(HTTPLimits.headBytesMax) bytes")
      }
      line.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[offset..<end]))
      offset = end
      guard lineFeed != nil else { return nil }
      let outcome = line.withUnsafeBytes { head.add(line: $0) }
      line.removeAll(keepingCapacity: true)
      switch outcome {
      case .incomplete: continue
      case .failed(let reason): throw .protocolViolation(reason)
      case .complete: return try endHead()
      }
    }
    return nil
  }

  private mutating func endHead() throws(TransportFailure) -> Event {
    let fields = head.fields
    state = try framing(fields)
    let wantsClose = fields.list("connection", contains: "close")
    let persists =
      head.minorVersion > 0 ? !wantsClose : fields.list("connection", contains: "keep-alive")
    keepsAlive = persists && !endsWithConnection
    return .head(status: head.status, fields)
  }

  /// RFC 9112 section 6.3.
  private func framing(_ fields: HTTPFields) throws(TransportFailure) -> State {
    if isHeadRequest || HTTPStatus.hasNoBody(head.status) { return .ending }
    if let coding = fields["transfer-encoding"] {
      guard coding.lowercased() == "chunked" else {
        throw .protocolViolation("the answer's transfer coding \(coding) is unknown")
      }
      return .chunked(ChunkedDecoder(bytesMax: .max))
    }
    let lengths = Set(fields.values("content-length"))
    guard let text = lengths.first else { return .untilClose }
    guard lengths.count == 1, text.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), let length = Int(text)
    else { throw .protocolViolation("the answer's Content-Length is not a number") }
    return length == 0 ? .ending : .length(remaining: length)
  }

  private mutating func readChunked(
    _ decoder: inout ChunkedDecoder, _ bytes: UnsafeRawBufferPointer, _ offset: inout Int
  ) throws(TransportFailure) -> Event? {
    // Taken out of `state`, so that the decoder's buffer is not copied when it is written to.
    state = .ending
    do throws(ChunkFailure) {
      switch try decoder.next(bytes, at: &offset) {
      case .end?: return .end
      case .data(let range)?:
        state = .chunked(decoder)
        return .body(range)
      case nil:
        state = .chunked(decoder)
        return nil
      }
    } catch {
      switch error {
      case .malformed(let reason), .trailersTooLarge(let reason):
        throw .protocolViolation("in the answer, \(reason)")
      case .bodyTooLarge: throw .protocolViolation("the answer has no end")
      }
    }
  }
}
