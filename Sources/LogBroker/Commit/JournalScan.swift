import Base
import Iggy

/// Reads the commit groups of one journal file that is in memory. Sans I/O.
struct JournalScan {
  struct Frame {
    let header: FrameHeader
    /// In the file.
    let body: Range<Int>
    /// Whether the body is what was written.
    let isWhole: Bool
  }

  /// What stands where the next group is expected.
  enum Reading {
    case whole(frames: [Frame], end: Int)
    /// All headers are there, some bodies are not what they were.
    case bodiesDamaged(frames: [Frame], end: Int)
    /// Part of the group's headers are there.
    case broken
    /// Nothing of the group: zeros, or what the file held before.
    case nothing
  }

  let bytes: UnsafeRawBufferPointer
  let generation: UInt64
  private(set) var position: Int
  private(set) var nextGroup: UInt64
  /// Header checksum of the last frame.
  private(set) var previous: UInt32

  init(_ bytes: UnsafeRawBufferPointer, _ header: JournalHeader, at position: Int) {
    self.bytes = bytes
    self.position = position
    generation = header.generation
    nextGroup = header.firstGroup
    previous = header.previous
  }

  /// Reads the next group without moving on.
  func read() -> Reading {
    var frames: [Frame] = []
    var at = position
    var chain = previous
    var isWhole = true
    while let header = frame(at: at) {
      guard header.generation == generation, header.group == nextGroup,
        header.previous == chain, header.index == frames.count
      else { break }
      let body = at + FrameHeader.length..<at + header.frameLength
      let bodyIsWhole = crc32c(bytes.slice(body)) == header.bodyChecksum
      isWhole = isWhole && bodyIsWhole
      frames.append(Frame(header: header, body: body, isWhole: bodyIsWhole))
      at = body.upperBound
      chain = header.checksum
      guard header.isLast else { continue }
      let end = min(GroupWriter.roundedToBlock(at), bytes.count)
      return isWhole ? .whole(frames: frames, end: end) : .bodiesDamaged(frames: frames, end: end)
    }
    return frames.isEmpty ? .nothing : .broken
  }

  /// Goes on behind a group that `read` gave.
  mutating func skip(_ frames: [Frame], end: Int) {
    position = end
    nextGroup += 1
    previous = frames[frames.count - 1].header.checksum
  }

  /// Goes on with the next group that begins behind the one expected here; false when there is none.
  mutating func skipBroken() -> Bool {
    var start = position + LogLimits.blockBytes
    while start < bytes.count {
      if let header = FrameHeader(bytes.slice(start..<bytes.count)), header.index == 0,
        header.generation == generation, header.group > nextGroup
      {
        position = start
        nextGroup = header.group
        previous = header.previous
        return true
      }
      start += LogLimits.blockBytes
    }
    return false
  }

  /// Whether any block behind the current one begins with a group of this generation that was
  /// written after all before it had been synced: then the one expected here had been durable, and
  /// what is wrong with it no crash has done.
  var hasLaterGroup: Bool {
    Self.frames(in: bytes, from: position + LogLimits.blockBytes).contains {
      $0.generation == generation && $0.group > nextGroup && !$0.followsUnsynced
    }
  }

  /// Whether a part of the expected group's first attempt, or of one behind it that was not durable
  /// either, stands anywhere behind.
  var hasRestOfGroup: Bool {
    Self.frames(in: bytes, from: position).contains {
      $0.generation == generation && $0.group >= nextGroup
    }
  }

  /// Headers that stand at the start of a block, at or after `from`.
  static func frames(
    in bytes: UnsafeRawBufferPointer, from: Int
  ) -> some Sequence<FrameHeader> {
    stride(from: from, to: bytes.count, by: LogLimits.blockBytes).lazy.compactMap {
      FrameHeader(bytes.slice($0..<bytes.count))
    }
  }

  /// The header at `at`, if it and its body are inside the file.
  private func frame(at: Int) -> FrameHeader? {
    guard at < bytes.count, let header = FrameHeader(bytes.slice(at..<bytes.count)),
      header.frameLength <= bytes.count - at
    else { return nil }
    return header
  }
}
