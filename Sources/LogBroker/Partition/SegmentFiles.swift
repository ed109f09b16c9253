/// The segment files that are open: a bounded number, opened when they are needed.
final class SegmentFiles {
  private let storage: any LoopStorage
  private var opened: [Segment] = []
  private var openedDirect: [Segment] = []
  private var mapped: [Segment] = []
  /// Files of deleted segments, to be used again. What stands in them is of no account: a segment
  /// is read up to its size only.
  private var recycled: [Int] = []
  private let recycledMax: Int
  /// A segment for direct writes had to have a new file.
  private var hasLackedSpare = false

  /// - Parameter recycledMax: files of deleted segments to keep for new ones.
  init(storage: any LoopStorage, recycledMax: Int) {
    self.storage = storage
    self.recycledMax = recycledMax
  }

  /// Whether files wait for a checkpoint's sync in such number that none can be closed.
  var isCrowded: Bool { opened.count >= LogLimits.openFilesMax * 2 }

  /// The segment's file, for the next operation only: a later call may close it.
  func open(_ segment: Segment) throws(StorageFailure) -> any LoopFile {
    if let file = segment.file { return file }
    if opened.count >= LogLimits.openFilesMax { closeOldest() }
    let file =
      try segment.isNew
      ? create(segment) : storage.openLoopFile(segment.path, .write)
    segment.isNew = false
    segment.file = file
    opened.append(segment)
    return file
  }

  /// The segment's file for direct writes, for the next operation only.
  func openDirect(_ segment: Segment) throws(StorageFailure) -> any LoopFile {
    if let file = segment.directFile { return file }
    if openedDirect.count >= LogLimits.openDirectFilesMax { closeDirect(openedDirect[0]) }
    let isFresh = segment.isNew && !reuse(for: segment)
    hasLackedSpare = hasLackedSpare || isFresh
    let file = try storage.openDirectFile(segment.path, isFresh ? .create : .write)
    segment.isNew = false
    segment.directFile = file
    openedDirect.append(segment)
    return file
  }

  /// Nothing is written to it directly for a while; operations under way go on.
  func closeDirect(_ segment: Segment) {
    openedDirect.removeAll { $0 === segment }
    segment.directFile?.close()
    segment.directFile = nil
  }

  /// The segment's content, at least `end` bytes of which are there; nil where the storage maps no
  /// files. What readers hold of it stays when it is let go of.
  func mapping(of segment: Segment, upTo end: Int) -> MappedFile? {
    if let mapping = segment.mapping, mapping.bytes.count >= end { return mapping }
    unmap(segment)
    guard let file = try? open(segment) else { return nil }
    // With room for what is still to come.
    guard let mapping = file.map(max(Self.mappedBytesMin, end * 2)) else { return nil }
    if mapped.count >= Self.mappedMax { unmap(mapped[0]) }
    mapped.append(segment)
    segment.mapping = mapping
    return mapping
  }

  private static let mappedBytesMin = 64 << 20
  private static let mappedMax = 64

  private func unmap(_ segment: Segment) {
    guard segment.mapping != nil else { return }
    segment.mapping = nil
    mapped.removeAll { $0 === segment }
  }

  /// For writing behind the segment's end.
  func openForAppend(_ segment: Segment) throws(StorageFailure) -> any LoopFile {
    let file = try open(segment)
    if segment.needsTruncation { try file.truncate(to: segment.size) }
    segment.needsTruncation = false
    return file
  }

  /// Deletes the file of a segment that no checkpoint names any more. That it stays after a failure
  /// or a crash does no harm: the checkpoint says what was to go, and the next start tries again.
  func remove(_ segment: Segment) {
    precondition(!segment.isGone, "a segment is removed once")
    segment.isGone = true
    opened.removeAll { $0 === segment }
    close(segment)
    closeDirect(segment)
    unmap(segment)
    if recycle(segment) { return }
    try? storage.remove(segment.path)
  }

  /// Keeps the file for a new segment, unless somebody still reads it.
  private func recycle(_ segment: Segment) -> Bool {
    guard segment.readers == 0, segment.leases == 0,
      let slot = freeSlot
    else { return false }
    do throws(StorageFailure) {
      try storage.makeDirectory(Self.recycledDirectory)
      try storage.rename(segment.path, to: Self.recycledPath(slot))
    } catch { return false }
    recycled.append(slot)
    return true
  }

  /// Makes the file of a new segment, of one that was deleted where there is one.
  private func create(_ segment: Segment) throws(StorageFailure) -> any LoopFile {
    try storage.openLoopFile(segment.path, reuse(for: segment) ? .write : .create)
  }

  /// Gives a new segment the file of one that was deleted; false when there is none.
  private func reuse(for segment: Segment) -> Bool {
    guard let slot = recycled.popLast() else { return false }
    return (try? storage.rename(Self.recycledPath(slot), to: segment.path)) != nil
  }

  private var freeSlot: Int? {
    (0..<recycledMax).first { !recycled.contains($0) }
  }

  /// Whether a file should be made ready for the next segment.
  var wantsSpare: Bool { hasLackedSpare && recycled.isEmpty && recycledMax > 0 }

  /// The file at `path` is ready for a segment.
  func addSpare(_ path: String) -> Bool {
    guard let slot = freeSlot,
      (try? storage.rename(path, to: Self.recycledPath(slot))) != nil
    else { return false }
    recycled.append(slot)
    hasLackedSpare = false
    return true
  }

  /// Takes over what an earlier process has left to be used again. After a power loss one of them
  /// may still have its other name, among the `segments`: that one is left alone.
  func adoptRecycled(besides segments: [Segment]) {
    let found = (0..<recycledMax).compactMap { slot -> (slot: Int, identity: UInt64)? in
      let identity = try? storage.identity(of: Self.recycledPath(slot))
      return identity.map { (slot, $0) }
    }
    guard !found.isEmpty else { return }
    var used: Set<UInt64> = []
    for segment in segments {
      do throws(StorageFailure) {
        if let identity = try storage.identity(of: segment.path) { used.insert(identity) }
      } catch { return }
    }
    for file in found where used.insert(file.identity).inserted { recycled.append(file.slot) }
  }

  static let recycledDirectory = "log/recycled"

  private static func recycledPath(_ slot: Int) -> String { "\(recycledDirectory)/\(slot).log" }

  func closeAll() {
    for segment in opened { close(segment) }
    opened = []
    for segment in openedDirect { closeDirect(segment) }
    for segment in mapped { unmap(segment) }
  }

  /// A file with unsynced writes stays open, so that the sync hears of its write errors.
  private func closeOldest() {
    guard let index = opened.firstIndex(where: { !$0.isDirty }) else { return }
    close(opened.remove(at: index))
  }

  private func close(_ segment: Segment) {
    segment.file?.close()
    segment.file = nil
  }
}
