/// A batch in somebody else's memory: read in place, nothing copied. Valid as long as the memory is.
///
/// Whatever the bytes are, reading them gives messages or a `WireError`; nothing traps.
public struct BatchView {
  /// One message of a batch; its slices are of the batch's memory.
  public struct Message {
    public let header: MessageHeader
    /// `baseOffset` + `offsetDelta`.
    public let offset: UInt64
    /// The producer's time, µs since 1970.
    public let originTimestamp: UInt64
    /// Where the whole frame is, from the start of the batch.
    public let frame: Range<Int>

    /// From the start of the batch.
    public var payload: Range<Int> {
      let start = frame.lowerBound + MessageHeader.length
      return start..<start + header.payloadLength
    }

    /// From the start of the batch; `UserHeaders` reads them.
    public var userHeaders: Range<Int> { payload.upperBound..<frame.upperBound }
  }

  public let header: BatchHeader
  /// Exactly the batch: header and messages.
  public let bytes: UnsafeRawBufferPointer

  /// Reads the batch that begins at the start of `bytes`; more may follow it. Checks the header's
  /// lengths; messages are checked as they are read, and by `validate`.
  public init(_ bytes: UnsafeRawBufferPointer) throws(WireError) {
    header = try BatchHeader(bytes)
    guard header.batchLength >= UInt64(BatchHeader.length + MessageHeader.length + 1) else {
      throw .batchLength(stated: header.batchLength, actual: bytes.count)
    }
    guard header.batchLength <= UInt64(bytes.count) else {
      throw .truncated(
        offset: 0, needed: Int(clamping: header.batchLength), available: bytes.count)
    }
    guard header.messageCount > 0 else { throw .messageCount(stated: 0, actual: 0) }
    self.bytes = bytes.slice(0..<Int(header.batchLength))
  }

  /// Hands each message to `body` until it returns false, or the batch ends. Offsets must be dense
  /// and the count true, else a `WireError` is thrown where that shows.
  public func forEach(_ body: (Message) -> Bool) throws(WireError) {
    var cursor = Cursor(self)
    while let message = try cursor.next() {
      if !body(message) { return }
    }
  }

  /// Checks structure and every checksum; what passes is a batch that can be stored and served.
  public func validate() throws(WireError) {
    var cursor = Cursor(self)
    while let message = try cursor.next() {
      let computed = xxh3(bytes.slice(message.frame.lowerBound + 8..<message.frame.upperBound))
      guard computed == message.header.checksum else {
        throw .messageChecksum(
          index: cursor.index - 1, stated: message.header.checksum, computed: computed)
      }
    }
    let computed = BatchHeader.checksum(of: bytes, count: Int(header.messageCount))
    guard computed == header.batchChecksum else {
      throw .batchChecksum(stated: header.batchChecksum, computed: computed)
    }
  }

  /// Reads message after message, without allocation.
  public struct Cursor {
    private let view: BatchView
    private var at = BatchHeader.length
    /// How many messages have been read.
    public private(set) var index = 0
    private var firstDelta: UInt32 = 0

    public init(_ view: BatchView) { self.view = view }

    /// The next message; nil after the last, once the batch's count and length have proved true.
    public mutating func next() throws(WireError) -> Message? {
      let count = view.header.messageCount
      if index == Int(count) {
        guard at == view.bytes.count else {
          throw .batchLength(stated: view.header.batchLength, actual: at)
        }
        return nil
      }
      if at == view.bytes.count { throw .messageCount(stated: count, actual: index) }
      let header = try MessageHeader(view.bytes, at: at, index: index)
      if index == 0 { firstDelta = header.offsetDelta }
      let expected = UInt64(firstDelta) + UInt64(index)
      guard UInt64(header.offsetDelta) == expected else {
        throw .offsetDelta(
          index: index, expected: UInt32(clamping: expected), found: header.offsetDelta)
      }
      let offset = view.header.baseOffset.addingReportingOverflow(expected)
      let time = view.header.originTimestamp.addingReportingOverflow(
        UInt64(header.timestampDelta))
      guard !offset.overflow, !time.overflow else { throw .outOfRange(index: index) }
      let frame = at..<at + header.frameLength
      at = frame.upperBound
      index += 1
      return Message(
        header: header, offset: offset.partialValue, originTimestamp: time.partialValue,
        frame: frame)
    }
  }
}
