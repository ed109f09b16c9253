extension BatchView {
  /// What a poll returns of a batch of which it wants a part.
  public struct Slice: Sendable, Hashable {
    /// The messages' frames, from the start of the batch; contiguous.
    public let frames: Range<Int>
    public let count: UInt32

    /// Bytes of the slice as a batch of its own.
    public var length: Int { BatchHeader.length + frames.count }
  }

  /// The messages with an offset of at least `first`, at most `countMax` of them; nil when there
  /// are none.
  public func slice(from first: UInt64, countMax: UInt32) throws(WireError) -> Slice? {
    var start: Int?
    var end = 0
    var count: UInt32 = 0
    var cursor = Cursor(self)
    while count < countMax, let message = try cursor.next() {
      if message.offset < first { continue }
      if start == nil { start = message.frame.lowerBound }
      end = message.frame.upperBound
      count += 1
    }
    return start.map { Slice(frames: $0..<end, count: count) }
  }

  /// Writes `slice` as a batch: length, count and checksum are those of the slice, base offset and
  /// offset deltas stay. `memory` has room for `slice.length` bytes; returns what was written.
  @discardableResult
  public func write(
    _ slice: Slice, to memory: UnsafeMutableRawBufferPointer
  ) -> UnsafeRawBufferPointer {
    var part = header
    part.batchLength = UInt64(slice.length)
    part.messageCount = slice.count
    let batch = memory.slice(0..<slice.length)
    part.write(to: batch)
    batch.copy(bytes.slice(slice.frames), to: BatchHeader.length)
    BatchHeader.renewChecksum(of: batch, count: Int(slice.count))
    return UnsafeRawBufferPointer(batch)
  }
}
