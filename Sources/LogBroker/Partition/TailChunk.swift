import Base
import Events
import Iggy

/// Committed frames of one partition in memory: waiting for their segment file, and served from
/// here meanwhile. Memory below `used` never changes, so that readers may hold it.
final class TailChunk {
  struct Frame {
    var base: UInt64
    var count: UInt32
    /// Append time, µs.
    var time: UInt64
    /// Of the frame's header, from the start of the chunk.
    var position: Int
  }

  let memory: UnsafeMutableRawBufferPointer
  private(set) var frames: [Frame] = []
  private(set) var used = 0
  /// Bytes that are in the segment file.
  var flushed = 0
  /// Where recovery found that it belongs; nil while it is for the flusher to say.
  var place: (segment: Segment, position: Int)?
  /// Whose the memory is; nil when it is the chunk's own.
  private let owner: AnyObject?

  init(capacity: Int) {
    memory = .allocate(byteCount: capacity, alignment: 16)
    owner = nil
  }

  /// One frame, in memory of `owner`.
  init(_ bytes: UnsafeMutableRawBufferPointer, _ frame: Frame, owner: AnyObject) {
    memory = bytes
    self.owner = owner
    frames = [frame]
    used = bytes.count
  }

  deinit { if owner == nil { memory.deallocate() } }

  /// Written directly: nothing is added to it.
  var isDirect: Bool { owner != nil }

  /// What recovery has found, with its padding: its memory is whole blocks.
  var blocks: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: memory.baseAddress, count: GroupWriter.roundedToBlock(used))
  }

  var room: Int { memory.count - used }
  var unflushed: Int { used - flushed }

  /// Copies a frame to the end; there is room for it.
  func append(_ bytes: UnsafeRawBufferPointer, base: UInt64, count: UInt32, time: UInt64) {
    memory.copy(bytes, to: used)
    frames.append(Frame(base: base, count: count, time: time, position: used))
    used += bytes.count
  }

  func frameEnd(_ index: Int) -> Int {
    index + 1 < frames.count ? frames[index + 1].position : used
  }

  /// Header checksum of a frame.
  func checksum(_ index: Int) -> UInt32 {
    UnsafeRawBufferPointer(memory).littleEndian(at: frames[index].position + 60)
  }

  /// The first frame that is at or after `seek`; `frames.count` when there is none.
  func firstFrame(for seek: Seek) -> Int {
    var low = 0
    var high = frames.count
    while low < high {
      let middle = (low + high) / 2
      let frame = frames[middle]
      if seek.isReached(base: frame.base, count: frame.count, time: frame.time) {
        high = middle
      } else {
        low = middle + 1
      }
    }
    return low
  }
}

/// Where a poll begins.
enum Seek {
  case offset(UInt64)
  /// The first batch appended at or after this, µs.
  case time(UInt64)

  /// Whether a batch holds the first record wanted, or comes after it.
  func isReached(base: UInt64, count: UInt32, time: UInt64) -> Bool {
    switch self {
    case .offset(let offset): base &+ UInt64(count) > offset
    case .time(let wanted): time >= wanted
    }
  }
}
