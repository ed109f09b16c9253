import Base
import Iggy

/// The write-ahead journal of one loop: two files that take turns. Every commit group is one
/// contiguous write and, unless it holds `replicated` records only, one fdatasync; one is in flight
/// at a time. A small group of such records is stored in mapped pages where they are ready: there
/// it is the kernel's at once, as after a write. A group says whether the one before it was durable
/// when it was written, so that it is known which groups a power loss can have taken.
final class Journal {
  static func path(_ index: Int) -> String { "log/journal-0-\(index == 0 ? "a" : "b").wal" }

  /// Where the next group goes.
  struct State: Hashable {
    /// Which of the two files.
    var active = 0
    /// Of the groups that each file holds; 0 when it holds none that counts.
    var generations: [UInt64] = [0, 0]
    /// The highest generation that was ever begun, also in vain: none is used twice, so that no two
    /// attempts can be taken for one.
    var newestGeneration: UInt64 = 0
    /// In the active file.
    var position = 0
    var nextGroup: UInt64 = 1
    /// Header checksum of the last frame.
    var previous: UInt32 = 0

    var generation: UInt64 { generations[active] }
    /// Of the file that is not written to.
    var otherGeneration: UInt64 { generations[1 - active] }
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
  private var capacity: [Int] { didSet { windows.capacity = capacity } }
  private let windows: JournalWindows
  private(set) var state: State
  /// Bytes of groups that were written and not synced, all in the active file.
  private(set) var unsyncedBytes = 0
  /// Generations up to this are in the segments.
  var released: UInt64
  /// A file is being made larger.
  private(set) var isGrowing = false
  /// The disk has no room for larger files, or the log closes.
  private var isGrown = false
  /// Bytes a group may have at most.
  let groupBytesMax: Int

  /// - Parameters:
  ///   - files: two, of the sizes `capacity`.
  ///   - bytesMin: neither is smaller.
  init(
    files: [any LoopFile], capacity: [Int], bytesMin: Int, state: State, released: UInt64
  ) {
    groupBytesMax = bytesMin - LogLimits.blockBytes
    self.files = files
    self.capacity = capacity
    windows = JournalWindows(files: files, capacity: capacity)
    self.state = state
    self.released = released
  }

  /// Whether a checkpoint would make the file that is not written to free.
  var awaitsCheckpoint: Bool { state.otherGeneration > released }

  /// Where a group of `length` bytes goes; nil while the other file waits for its checkpoint.
  func place(for length: Int) -> Place? {
    let isLive = state.generation > released
    if isLive, state.position + length <= capacity[state.active] {
      return Place(
        file: state.active, isFirst: false, position: state.position, generation: state.generation)
    }
    if isLive, awaitsCheckpoint { return nil }
    return Place(
      file: isLive ? 1 - state.active : state.active, isFirst: true, position: 0,
      generation: state.newestGeneration + 1)
  }

  /// Stores a group that needs no sync and is not the first of its file in pages that are ready;
  /// false where there are none.
  func store(_ writer: GroupWriter, at place: Place, now: Nanoseconds) -> Bool {
    let bytes = UnsafeRawBufferPointer(
      writer.buffer.bytes.slice(LogLimits.blockBytes..<writer.end))
    guard !place.isFirst, windows.store(bytes, in: place.file, at: place.position, now: now)
    else { return false }
    advance(writer, place, bytes.count, isSynced: false)
    return true
  }

  /// Writes the group that stands in `writer`, and makes it durable where that `isSynced`.
  func commit(
    _ writer: GroupWriter, at place: Place, isSynced: Bool, now: Nanoseconds,
    completion: @escaping (Result<Void, CommitFailure>) -> Void
  ) {
    precondition(!place.isFirst || unsyncedBytes == 0, "the file before has to be synced first")
    precondition(!place.isFirst || !isGrowing, "the file is being made larger")
    let block = LogLimits.blockBytes
    if place.isFirst {
      JournalHeader(
        generation: place.generation, firstGroup: state.nextGroup, previous: state.previous
      ).write(to: writer.buffer.bytes.slice(0..<block))
    }
    let bytes = writer.buffer.bytes.slice((place.isFirst ? 0 : block)..<writer.end)
    let file = files[place.file]
    let finish = { [self] (result: Result<Void, CommitFailure>) in
      if case .success = result { advance(writer, place, bytes.count, isSynced: isSynced) }
      completion(result)
    }
    if isSynced {
      windows.beginSync(withGroup: true)
      file.writeAndSync(
        at: place.position, UnsafeRawBufferPointer(bytes), completion: finish)
    } else {
      windows.miss(place.position..<place.position + bytes.count, in: place.file, now: now)
      file.write(at: place.position, UnsafeRawBufferPointer(bytes)) {
        finish($0.mapError { .write($0) })
      }
    }
  }

  private func advance(_ writer: GroupWriter, _ place: Place, _ count: Int, isSynced: Bool) {
    unsyncedBytes = isSynced ? 0 : unsyncedBytes + count
    state.active = place.file
    state.generations[place.file] = place.generation
    state.newestGeneration = max(state.newestGeneration, place.generation)
    state.position = place.position + count
    state.nextGroup += 1
    state.previous = writer.previous
  }

  /// Makes what was written without a sync durable.
  func sync(
    now: @escaping () -> Nanoseconds, completion: @escaping (Result<Void, CommitFailure>) -> Void
  ) {
    windows.beginSync(withGroup: false)
    files[state.active].sync { [self] result in
      if case .success = result {
        unsyncedBytes = 0
        windows.endSync(now: now())
      }
      completion(result.mapError { .sync($0) })
    }
  }

  func close() {
    windows.close()
    for file in files { file.close() }
  }
}

// MARK: - Growth

extension Journal {
  /// Makes the file that is not written to larger by a piece, usable as soon as it is durable, until
  /// it has `bytes`; without room on the disk it stays as large as it is. Meanwhile no group may go
  /// there: of two syncs of one file only one would hear of a failed write.
  ///
  /// - Parameter ended: hears of the piece, if there is one; a failure is one to sync.
  func grow(to bytes: Int, ended: @escaping (Result<Void, CommitFailure>) -> Void) {
    let index = 1 - state.active
    guard !isGrowing, !isGrown, capacity[index] < bytes else { return }
    isGrowing = true
    let length = min(LogLimits.journalPieceBytes, bytes - capacity[index])
    fill(index, length) { [self] result in
      isGrowing = false
      switch result {
      case .success: capacity[index] += length
      case .failure: isGrown = true
      }
      if case .failure(.sync) = result { return ended(result) }
      ended(.success(()))
    }
  }

  /// Writes `length` zeros behind the file's end, in small steps: `LogOpening` says why.
  private func fill(
    _ index: Int, _ length: Int, _ completion: @escaping (Result<Void, CommitFailure>) -> Void
  ) {
    let zeros = AlignedBuffer(capacity: min(LogLimits.windowBytesMin, length))
    zeros.bytes.initializeMemory(as: UInt8.self, repeating: 0)
    func step(_ done: Int) {
      let count = min(zeros.bytes.count, length - done)
      let bytes = UnsafeRawBufferPointer(zeros.bytes.slice(0..<count))
      let position = capacity[index] + done
      if done + count == length {
        return files[index].settle(at: position, bytes) {
          withExtendedLifetime(zeros) {}
          completion($0)
        }
      }
      files[index].write(at: position, bytes) { result in
        if case .failure(let failure) = result { return completion(.failure(.write(failure))) }
        step(done + count)
      }
    }
    step(0)
  }

  /// No further piece is begun.
  func endGrowth() { isGrown = true }
}
