import Base
import Events
package import Iggy

/// One batch on its way to the log. Messages are written straight into the memory that goes to the
/// disk: they are copied once, or made in place, and every checksum is taken while they are in the
/// cache.
///
/// Belongs to the loop of the bus that made it (`EmbeddedBus.makeBatch`), and is handed in once.
package final class OutgoingBatch {
  /// Room for the frame's header, the batch's and the messages.
  let memory: UnsafeMutableRawBufferPointer
  private let pool: OutgoingPool
  /// Behind a pointer: every access to what a class has itself is checked at run time, several
  /// times a message.
  private let state: UnsafeMutablePointer<State>
  private let origin: UInt64

  private struct State {
    var writer: BatchWriter
    /// CRC32C of the messages so far.
    var messagesChecksum: UInt32 = 0
    /// Of the batch's header and messages, once stamped.
    var bodyChecksum: UInt32 = 0
    var isHandedIn = false
  }

  var isHandedIn: Bool {
    get { state.pointee.isHandedIn }
    set { state.pointee.isHandedIn = newValue }
  }

  /// Messages so far.
  package var count: UInt32 { state.pointee.writer.count }
  var bodyLength: Int { state.pointee.writer.length }
  var frameLength: Int { FrameHeader.length + bodyLength }

  init(_ memory: UnsafeMutableRawBufferPointer, pool: OutgoingPool, now: UInt64) {
    self.memory = memory
    self.pool = pool
    origin = now
    state = .allocate(capacity: 1)
    state.initialize(
      to: State(
        writer: BatchWriter(
          into: memory.slice(FrameHeader.length..<memory.count), originTimestamp: now,
          keepsChecksums: true)))
  }

  deinit {
    state.deinitialize(count: 1)
    state.deallocate()
    pool.giveBack(memory)
  }

  /// Adds a message whose payload is copied. Throws for an empty or too long payload, for too long
  /// `headers` (encoded, see `UserHeaders`), and when there is no room left; nothing is added then.
  package func add(
    id: UInt128, payload: UnsafeRawBufferPointer,
    headers: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
  ) throws(WireError) {
    try add(id: id, payloadBytes: payload.count, headers: headers) { $0.copy(payload, to: 0) }
  }

  /// Adds a message whose payload `fill` writes in place, all of it.
  package func add(
    id: UInt128, payloadBytes: Int,
    headers: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
    fill: (UnsafeMutableRawBufferPointer) -> Void
  ) throws(WireError) {
    precondition(!state.pointee.isHandedIn, "a batch that was handed in is the log's")
    let start = state.pointee.writer.length
    let needed = MessageHeader.length + payloadBytes + headers.count
    guard FrameHeader.length + start + needed <= memory.count else {
      throw .truncated(
        offset: start, needed: needed, available: memory.count - FrameHeader.length - start)
    }
    fill(try state.pointee.writer.beginMessage(id: id, payloadBytes: payloadBytes))
    if !headers.isEmpty { state.pointee.writer.addHeaders(headers) }
    try state.pointee.writer.endMessage()
    cover(from: start)
  }

  /// Adds an admitted record, for which there is room.
  func add(_ record: BusRecord) {
    let start = state.pointee.writer.length
    GroupWriter.write(record, to: &state.pointee.writer, now: origin)
    cover(from: start)
  }

  /// Takes the message that begins at `start` into the checksum.
  private func cover(from start: Int) {
    let end = state.pointee.writer.length
    let message = memory.slice(FrameHeader.length + start..<FrameHeader.length + end)
    state.pointee.messagesChecksum = crc32c(
      UnsafeRawBufferPointer(message), seed: state.pointee.messagesChecksum)
  }

  /// Writes the batch's header with its place in the log.
  func stamp(_ stamp: BatchWriter.Stamp) {
    let batch = state.pointee.writer.finish(stamp: stamp)
    let length = BatchHeader.length
    state.pointee.bodyChecksum = crc32cCombined(
      crc32c(batch.slice(0..<length)), state.pointee.messagesChecksum,
      length: batch.count - length)
  }

  /// Writes the frame's header before the stamped batch, which is enciphered where there is a
  /// `cipher`; returns its checksum.
  func frame(_ header: FrameHeader, _ cipher: BatchCipher?) -> UInt32 {
    var header = header
    if let cipher {
      let batch = memory.slice(FrameHeader.length..<frameLength)
      header.key = cipher.id
      cipher.seal(batch, header)
      state.pointee.bodyChecksum = crc32c(UnsafeRawBufferPointer(batch))
    }
    header.bodyChecksum = state.pointee.bodyChecksum
    header.write(to: memory.slice(0..<FrameHeader.length))
    return header.checksum
  }

  /// Of the stamped batch.
  var stampedChecksum: UInt32 { state.pointee.bodyChecksum }

  var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: memory[0..<frameLength])
  }

  /// The frame and zeros up to the end of its last block.
  func padded() -> UnsafeRawBufferPointer {
    let end = GroupWriter.roundedToBlock(frameLength)
    memory.slice(frameLength..<end).initializeMemory(as: UInt8.self, repeating: 0)
    return UnsafeRawBufferPointer(rebasing: memory[0..<end])
  }
}

/// Memory for batches, kept for the next ones while there is little of it.
final class OutgoingPool {
  private let loop: any LogLoop
  /// Made when the first batch that is large comes.
  private var arena: BatchArena?
  private var free: [UnsafeMutableRawBufferPointer] = []
  private var freeBytes = 0

  /// Enough for the direct writes under way and what readers still hold.
  private static let keptBytesMax = 24 << 20
  /// A batch that shows that large ones are made here.
  private static let largeBytesMin = 256 << 10
  /// Smaller ones would cut the arena into pieces.
  private static let arenaBytesMin = 64 << 10

  init(loop: any LogLoop) { self.loop = loop }

  deinit { for memory in free { AlignedBuffer.free(memory) } }

  /// A batch with room for `bytesMax` bytes of messages, headers included.
  func make(bytesMax: Int, now: UInt64) -> OutgoingBatch {
    let needed = GroupWriter.roundedToBlock(FrameHeader.length + BatchHeader.length + bytesMax)
    return OutgoingBatch(take(needed), pool: self, now: now)
  }

  /// The last one that came back is the likeliest to be in the cache. One that is much too large
  /// stays for those that need it.
  private func take(_ needed: Int) -> UnsafeMutableRawBufferPointer {
    if needed >= Self.largeBytesMin, arena == nil { arena = BatchArena(loop: loop) }
    if needed >= Self.arenaBytesMin, let memory = arena?.take(needed) { return memory }
    let index = free.lastIndex { $0.count >= needed && $0.count <= needed * 2 }
    guard let index else { return AlignedBuffer.allocate(needed) }
    let memory = free.remove(at: index)
    freeBytes -= memory.count
    return memory
  }

  func giveBack(_ memory: UnsafeMutableRawBufferPointer) {
    if arena?.giveBack(memory) == true { return }
    guard freeBytes + memory.count <= Self.keptBytesMax else { return AlignedBuffer.free(memory) }
    free.append(memory)
    freeBytes += memory.count
  }
}
