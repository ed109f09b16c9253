import Iggy

/// The write-ahead journal of one loop: two files that take turns. Every commit group is one
/// contiguous write and one fdatasync; one is in flight at a time, so that all groups but the last
/// are known to be durable.
final class Journal {
  static func path(_ index: Int) -> String { "log/journal-0-\(index == 0 ? "a" : "b").wal" }

  /// Where the next group goes.
  struct State: Hashable {
    /// Which of the two files.
    var active = 0
    var generation: UInt64 = 0
    /// In the active file; 0 when nothing of this generation has been written.
    var position = 0
    var nextGroup: UInt64 = 1
    /// Header checksum of the last frame.
    var previous: UInt32 = 0
  }

  /// Where a group will be written.
  struct Place {
    fileprivate var file: Int
    /// The header block is written too.
    var isFirst: Bool
    fileprivate var position: Int
    var generation: UInt64
  }

  private let files: [any LoopFile]
  private let capacity: [Int]
  private(set) var state: State
  /// Generations up to this are in the segments.
  var released: UInt64

  /// - Parameter files: two, of the sizes `capacity`.
  init(files: [any LoopFile], capacity: [Int], state: State, released: UInt64) {
    self.files = files
    self.capacity = capacity
    self.state = state
    self.released = released
  }

  /// Bytes a group may have at most.
  var groupBytesMax: Int { capacity.min()! - LogLimits.blockBytes }

  /// Where a group of `length` bytes goes; nil while the other file waits for its checkpoint.
  func place(for length: Int) -> Place? {
    if state.generation > released, state.position > 0,
      state.position + length <= capacity[state.active]
    {
      return Place(
        file: state.active, isFirst: false, position: state.position, generation: state.generation)
    }
    let isLive = state.generation > released && state.position > 0
    // The other file holds the generation before this one.
    if isLive, state.generation - 1 > released { return nil }
    return Place(
      file: isLive ? 1 - state.active : state.active, isFirst: true, position: 0,
      generation: state.generation + 1)
  }

  /// Writes and syncs the group that stands in `writer`.
  func commit(
    _ writer: GroupWriter, at place: Place,
    completion: @escaping (Result<Void, CommitFailure>) -> Void
  ) {
    let block = LogLimits.blockBytes
    if place.isFirst {
      JournalHeader(
        generation: place.generation, firstGroup: state.nextGroup, previous: state.previous
      ).write(to: writer.buffer.bytes.slice(0..<block))
    }
    let bytes = writer.buffer.bytes.slice((place.isFirst ? 0 : block)..<writer.end)
    let file = files[place.file]
    file.writeAndSync(at: place.position, UnsafeRawBufferPointer(bytes)) { [self] result in
      if case .success = result {
        state = State(
          active: place.file, generation: place.generation,
          position: place.position + bytes.count, nextGroup: state.nextGroup + 1,
          previous: writer.previous)
      }
      completion(result)
    }
  }

  func close() { for file in files { file.close() } }
}
