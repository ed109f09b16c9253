/// The segment files that are open: a bounded number, opened when they are needed. Nothing here
/// blocks: files are opened, renamed and removed beside the loop.
final class SegmentFiles {
  typealias Opened = (Result<any LoopFile, StorageFailure>) -> Void

  private let storage: any LoopStorage
  private var opened: [Segment] = []
  private var openedDirect: [Segment] = []
  private var mapped: [Segment] = []
  /// Files of deleted segments, to be used again. What stands in them is of no account: a segment
  /// is read up to its size only.
  private var recycled: [Int] = []
  /// Slots whose file is on its way there.
  private var filling: Set<Int> = []
  private let recycledMax: Int
  private var hasRecycledDirectory = false
  private var isClosed = false
  /// There are files that an earlier process has left.
  private var hasAdopted = false

  /// - Parameter recycledMax: files of deleted segments to keep for new ones.
  init(storage: any LoopStorage, recycledMax: Int) {
    self.storage = storage
    self.recycledMax = recycledMax
  }

  /// Whether files wait for a checkpoint's sync in such number that none can be closed.
  var isCrowded: Bool { opened.count >= LogLimits.openFilesMax * 2 }

  // MARK: Opening

  /// Hands the segment's file to `body`, for the next operation only: a later call may close it.
  /// Runs inside the call when the file is open.
  func open(_ segment: Segment, _ body: @escaping Opened) {
    if let file = segment.file { return body(.success(file)) }
    segment.waiters.append(body)
    guard segment.waiters.count == 1 else { return }
    if opened.count >= LogLimits.openFilesMax { closeOldest() }
    openFile(of: segment, isDirect: false) { [self] result in
      let waiters = segment.waiters
      segment.waiters = []
      if case .success(let file) = result {
        segment.file = file
        opened.append(segment)
      }
      for waiter in waiters { waiter(result) }
    }
  }

  /// The segment's file for direct writes, likewise. A new one gets room for `bytes` bytes.
  func openDirect(_ segment: Segment, bytes: Int, _ body: @escaping Opened) {
    if let file = segment.directFile { return body(.success(file)) }
    segment.directWaiters.append(body)
    guard segment.directWaiters.count == 1 else { return }
    if openedDirect.count >= LogLimits.openDirectFilesMax { closeDirect(openedDirect[0]) }
    let isNew = segment.isNew
    let finish: Opened = { [self] result in
      let waiters = segment.directWaiters
      segment.directWaiters = []
      if case .success(let file) = result {
        segment.directFile = file
        openedDirect.append(segment)
      }
      for waiter in waiters { waiter(result) }
    }
    openFile(of: segment, isDirect: true) { result in
      guard isNew, case .success(let file) = result else { return finish(result) }
      file.allocate(bytes) { allocated in
        switch allocated {
        case .success:
          segment.roomBytes = bytes
          finish(result)
        // Less may do: the write tells. What was given of it goes back first.
        case .failure(let failure) where failure.kind == .diskFull:
          file.truncate(to: 0) { _ in finish(result) }
        case .failure(let failure):
          file.close()
          finish(.failure(failure))
        }
      }
    }
  }

  /// Makes more room in a file that is open for direct writes, beside them: none of them waits for it,
  /// and each that comes too early makes its own.
  func makeRoom(_ bytes: Int, in segment: Segment) {
    guard let file = segment.directFile, segment.roomBytes > 0 else { return }
    segment.roomBytes = bytes
    file.allocate(bytes) { _ in }
  }

  /// Opens the file, or makes it: of one that was deleted where there is one.
  private func openFile(of segment: Segment, isDirect: Bool, _ completion: @escaping Opened) {
    let path = segment.path
    let finish: Opened = { [self] result in
      guard case .success(let file) = result else {
        // It was packed meanwhile, and the file it was made from is gone.
        if path != segment.path { return openFile(of: segment, isDirect: false, completion) }
        return completion(result)
      }
      segment.isNew = false
      guard isClosed || segment.isGone else { return completion(result) }
      file.close()
      completion(.failure(StorageFailure(.other, "\(segment.path) is no longer used")))
    }
    if segment.isPacked {
      return storage.openFile(segment.path, .read, isDirect: false) {
        guard case .success(let file) = $0 else { return finish($0) }
        PackedLoopFile.open(file, completion: finish)
      }
    }
    guard segment.isNew else {
      return storage.openFile(segment.path, .write, isDirect: isDirect, completion: finish)
    }
    reuse(for: segment) { [self] isReused in
      if isReused {
        return storage.openFile(segment.path, .write, isDirect: isDirect, completion: finish)
      }
      if hasAdopted { return create(segment.path, isDirect: isDirect, finish) }
      storage.openFile(segment.path, .create, isDirect: isDirect, completion: finish)
    }
  }

  /// Makes a file anew. After a power loss its name may be another one of a file that was used again
  /// since, and that is not to be emptied: the name goes first.
  private func create(_ path: String, isDirect: Bool, _ completion: @escaping Opened) {
    storage.remove(path) { [storage] _ in
      storage.openFile(path, .create, isDirect: isDirect, completion: completion)
    }
  }

  /// For writing behind the segment's end.
  func openForAppend(_ segment: Segment, _ body: @escaping Opened) {
    open(segment) { result in
      guard segment.needsTruncation, case .success(let file) = result else { return body(result) }
      file.truncate(to: segment.size) {
        if case .failure(let failure) = $0 { return body(.failure(failure)) }
        segment.needsTruncation = false
        body(result)
      }
    }
  }

  // MARK: Mapping

  /// The content of a segment whose open file is `file`, at least `end` bytes of it; nil where the
  /// storage maps no files. What readers hold of it stays when it is let go of.
  func mapping(of segment: Segment, _ file: any LoopFile, upTo end: Int) -> MappedFile? {
    if let mapping = segment.mapping, mapping.bytes.count >= end { return mapping }
    unmap(segment)
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

  // MARK: Closing

  /// Nothing is written to it directly for a while; operations under way go on.
  func closeDirect(_ segment: Segment) {
    openedDirect.removeAll { $0 === segment }
    segment.directFile?.close()
    segment.directFile = nil
  }

  /// Another file stands for the segment from now on; operations under way go on.
  func closePlain(_ segment: Segment) {
    opened.removeAll { $0 === segment }
    close(segment)
    closeDirect(segment)
    unmap(segment)
  }

  /// A file that is being opened is closed at once.
  func closeAll() {
    isClosed = true
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

  // MARK: Removing

  /// Deletes the file of a segment that no checkpoint names any more. That it stays after a failure
  /// or a crash does no harm: the checkpoint says what was to go, and the next start tries again.
  func remove(_ segment: Segment, _ completion: @escaping () -> Void) {
    precondition(!segment.isGone, "a segment is removed once")
    segment.isGone = true
    closePlain(segment)
    recycle(segment) { [storage] isKept in
      if isKept { return completion() }
      storage.remove(segment.path) { _ in completion() }
    }
  }

  /// Keeps the file for a new segment, unless somebody still reads it.
  private func recycle(_ segment: Segment, _ completion: @escaping (Bool) -> Void) {
    guard segment.readers == 0, segment.leases == 0, !segment.isPacked, let slot = freeSlot
    else { return completion(false) }
    filling.insert(slot)
    let move = { [self] in
      storage.rename(segment.path, to: Self.recycledPath(slot)) { [self] result in
        filling.remove(slot)
        guard case .success = result else { return completion(false) }
        recycled.append(slot)
        completion(true)
      }
    }
    if hasRecycledDirectory { return move() }
    storage.makeDirectory(Self.recycledDirectory) { [self] result in
      if case .success = result { hasRecycledDirectory = true }
      // Without it the renaming fails, too.
      move()
    }
  }

  /// Gives a new segment the file of one that was deleted; false when there is none.
  private func reuse(for segment: Segment, _ completion: @escaping (Bool) -> Void) {
    guard let slot = recycled.popLast() else { return completion(false) }
    storage.rename(Self.recycledPath(slot), to: segment.path) {
      if case .success = $0 { completion(true) } else { completion(false) }
    }
  }

  /// Whether there are files that nothing is in.
  var hasRecycled: Bool { !recycled.isEmpty }

  /// Deletes the files that are kept for new segments: their room is needed.
  func dropRecycled(_ completion: @escaping () -> Void) {
    guard let slot = recycled.popLast() else { return completion() }
    storage.remove(Self.recycledPath(slot)) { [self] _ in dropRecycled(completion) }
  }

  /// The same for a log that is not open. Files go, or names of files that are segments as well.
  /// Returns whether there were any.
  static func dropRecycled(of storage: any Storage, slots: Int) -> Bool {
    var hasDropped = false
    for path in (0..<slots).map(recycledPath) {
      guard (try? storage.identity(of: path)) != nil else { continue }
      if (try? storage.remove(path)) != nil { hasDropped = true }
    }
    return hasDropped
  }

  private var freeSlot: Int? {
    (0..<recycledMax).first { !recycled.contains($0) && !filling.contains($0) }
  }

  // MARK: At the start

  /// Takes over what an earlier process has left to be used again. After a power loss one of them
  /// may still have its other name, among the `segments`: that one is left alone.
  func adoptRecycled(besides segments: [Segment]) {
    let found = (0..<recycledMax).compactMap { slot -> (slot: Int, identity: UInt64)? in
      let identity = try? storage.identity(of: Self.recycledPath(slot))
      return identity.map { (slot, $0) }
    }
    guard !found.isEmpty else { return }
    hasAdopted = true
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
}
