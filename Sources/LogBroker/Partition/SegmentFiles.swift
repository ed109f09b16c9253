/// The segment files that are open: a bounded number, opened when they are needed.
final class SegmentFiles {
  private let storage: any LoopStorage
  private var opened: [Segment] = []
  private var openedDirect: [Segment] = []

  init(storage: any LoopStorage) { self.storage = storage }

  /// Whether files wait for a checkpoint's sync in such number that none can be closed.
  var isCrowded: Bool { opened.count >= LogLimits.openFilesMax * 2 }

  /// The segment's file, for the next operation only: a later call may close it.
  func open(_ segment: Segment) throws(StorageFailure) -> any LoopFile {
    if let file = segment.file { return file }
    if opened.count >= LogLimits.openFilesMax { closeOldest() }
    let file = try storage.openLoopFile(segment.path, segment.isNew ? .create : .write)
    segment.isNew = false
    segment.file = file
    opened.append(segment)
    return file
  }

  /// The segment's file for direct writes, for the next operation only.
  func openDirect(_ segment: Segment) throws(StorageFailure) -> any LoopFile {
    if let file = segment.directFile { return file }
    if openedDirect.count >= LogLimits.openDirectFilesMax { closeDirect(openedDirect[0]) }
    let file = try storage.openDirectFile(segment.path, segment.isNew ? .create : .write)
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

  /// For writing behind the segment's end.
  func openForAppend(_ segment: Segment) throws(StorageFailure) -> any LoopFile {
    let file = try open(segment)
    if segment.needsTruncation { try file.truncate(to: segment.size) }
    segment.needsTruncation = false
    return file
  }

  func closeAll() {
    for segment in opened { close(segment) }
    opened = []
    for segment in openedDirect { closeDirect(segment) }
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
