/// The segment files that are open: a bounded number, opened when they are needed. Nothing here
/// blocks: files are opened, renamed and removed beside the loop.
final class SegmentFiles {
  typealias Opened = (Result<any LoopFile, StorageFailure>) -> Void

  private let storage: any LoopStorage
  private var opened: [Segment] = []
  private var openedDirect: [Segment] = []
  /// Files of deleted segments, to be used again. What stands in them is of no account: a segment
  /// is read up to its size only.
  private var recycled: [Int] = []
  /// Slots whose file is on its way there.
  private var filling: Set<Int> = []
  private let recycledMax: Int
  private var hasRecycledDirectory = false
  private var isClosed = false

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
        guard case .failure(let failure) = allocated else { return finish(result) }
        file.close()
        finish(.failure(failure))
      }
    }
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
    reuse(for: segment) { [storage] isReused in
      storage.openFile(
        segment.path, isReused ? .write : .create, isDirect: isDirect, completion: finish)
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
  }

  /// A file that is being opened is closed at once.
  func closeAll() {
    isClosed = true
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

  /// Keeps the file for a new segment, unless a read is still under way.
  private func recycle(_ segment: Segment, _ completion: @escaping (Bool) -> Void) {
    guard segment.readers == 0, !segment.isPacked,
      let slot = (0..<recycledMax).first(where: { !recycled.contains($0) && !filling.contains($0) })
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

  static let recycledDirectory = "log/recycled"

  private static func recycledPath(_ slot: Int) -> String { "\(recycledDirectory)/\(slot).log" }
}
