package import Base
import CLinux
import Glibc
package import UringIO

/// Files under one directory. Reading, writing and syncing a file goes through an event loop's ring;
/// names, sizes and directories, for which not every kernel and no epoll has operations, through
/// two threads that block in the loop's place.
package final class RingStorage: LoopStorage {
  private let disk: DiskStorage
  private let loop: EventLoop
  /// What changes names: in order. They may take as long as the disk likes.
  private let changes: BlockingCalls
  /// Files that are there are opened beside them, so that no poll waits behind a sync.
  private let looks: BlockingCalls
  /// What takes long whatever the disk; without a thread until the first does.
  private let works: BlockingCalls
  /// What makes pages ready for stores; without a thread until the first does.
  private let windows: BlockingCalls
  /// What a checkpoint makes durable. The ring's own threads are few, and commits wait for them; and
  /// where many syncs wait at once, the file system's journal makes them durable together.
  private let settling: BlockingCalls
  /// Syncs that were asked of the kernel while the log runs, of files and directories.
  package let syncs = Counter()

  /// - Parameter root: absolute, or relative to the working directory.
  package init(root: String, loop: EventLoop) {
    disk = DiskStorage(root: root)
    self.loop = loop
    changes = BlockingCalls(loop)
    looks = BlockingCalls(loop)
    works = BlockingCalls(loop, isStarted: false)
    windows = BlockingCalls(loop, isStarted: false)
    settling = BlockingCalls(loop, threads: LogLimits.checkpointWidth, isStarted: false)
  }

  package func open(_ path: String, _ access: StorageAccess) throws(StorageFailure)
    -> any StorageFile
  { try disk.open(path, access) }

  package func makeDirectory(_ path: String) throws(StorageFailure) {
    try disk.makeDirectory(path)
  }

  package func rename(_ path: String, to target: String) throws(StorageFailure) {
    try disk.rename(path, to: target)
  }

  package func remove(_ path: String) throws(StorageFailure) { try disk.remove(path) }

  package func identity(of path: String) throws(StorageFailure) -> UInt64? {
    try disk.identity(of: path)
  }

  package var bootID: UInt128 { disk.bootID }

  package func syncDirectory(_ path: String) throws(StorageFailure) {
    try disk.syncDirectory(path)
  }

  package func lock(_ path: String) throws(StorageFailure) -> any StorageLock {
    try disk.lock(path)
  }

  package func openLoopFile(_ path: String, _ access: StorageAccess) throws(StorageFailure)
    -> any LoopFile
  { file(try disk.openDescriptor(path, access), path) }

  private func file(_ descriptor: Int32, _ path: String) -> RingFile {
    RingFile(
      loop.file(adopting: descriptor, path: path), path, syncs,
      .init(changes: changes, windows: windows, settling: settling))
  }

  package func openFile(
    _ path: String, _ access: StorageAccess, isDirect: Bool,
    completion: @escaping (Result<any LoopFile, StorageFailure>) -> Void
  ) {
    let calls = access == .create ? changes : looks
    calls.run({ [disk] () throws(StorageFailure) in
      try isDirect
        ? disk.openDirectDescriptor(path, access) : disk.openDescriptor(path, access)
    }) { [self] result in
      completion(result.map { file($0, path) })
    }
  }

  package func makeDirectory(
    _ path: String, completion: @escaping (Result<Void, StorageFailure>) -> Void
  ) {
    changes.run(
      { [disk] () throws(StorageFailure) in try disk.makeDirectory(path) }, completion)
  }

  package func rename(
    _ path: String, to target: String,
    completion: @escaping (Result<Void, StorageFailure>) -> Void
  ) {
    changes.run(
      { [disk] () throws(StorageFailure) in try disk.rename(path, to: target) }, completion)
  }

  package func remove(
    _ path: String, completion: @escaping (Result<Void, StorageFailure>) -> Void
  ) {
    changes.run({ [disk] () throws(StorageFailure) in try disk.remove(path) }, completion)
  }

  package func syncDirectory(
    _ path: String, completion: @escaping (Result<Void, StorageFailure>) -> Void
  ) {
    syncs.add()
    // The ring's sync is an fdatasync, which does not cover a directory's entries.
    settling.run(
      { [disk] () throws(StorageFailure) in try disk.syncDirectory(path) }, completion)
  }
}

extension RingStorage {
  package func pack(
    _ path: String, size: Int, completion: @escaping (Result<Int, CommitFailure>) -> Void
  ) {
    works.run(
      { [disk] () throws(CommitFailure) in
        try SegmentPacker(storage: disk, path: path, size: size).run()
      }, refused: { .write($0) }, completion)
  }
}

/// A thread that makes system calls which block, one after the other; or several.
final class BlockingCalls {
  private let loop: EventLoop
  private let threads: Int
  private lazy var side = SideThreads(threads: threads, started: 1, queueMax: Self.queueMax)

  /// More than the log ever has under way at once.
  private static let queueMax = 1 << 17

  /// - Parameter threads: at most, started as they are needed.
  init(_ loop: EventLoop, threads: Int = 1, isStarted: Bool = true) {
    self.loop = loop
    self.threads = threads
    if isStarted { _ = side }
  }

  func run<Value: Sendable>(
    _ call: @escaping @Sendable () throws(StorageFailure) -> Value,
    _ completion: @escaping (Result<Value, StorageFailure>) -> Void
  ) { run(call, refused: { $0 }, completion) }

  /// - Parameter refused: makes a failure of one that was not even begun.
  func run<Value: Sendable, Failure: Error>(
    _ call: @escaping @Sendable () throws(Failure) -> Value,
    refused: (StorageFailure) -> Failure,
    _ completion: @escaping (Result<Value, Failure>) -> Void
  ) {
    let work: @Sendable () -> Result<Value, Failure> = {
      do throws(Failure) { return .success(try call()) } catch { return .failure(error) }
    }
    do {
      try side.run(work, on: loop, completion: completion)
    } catch {
      let failure = refused(StorageFailure(.other, "\(error)"))
      loop.enqueue { completion(.failure(failure)) }
    }
  }
}

/// One file, with blocking calls for opening the log and calls through the ring for running it.
private final class RingFile: LoopFile {
  private let file: File
  /// The same descriptor.
  private let disk: DiskFile
  private let path: String
  private let syncs: Counter
  private let side: Side
  private lazy var windowed = WindowedFile(sharing: file.descriptor, path)

  /// Who makes the calls that block in the loop's place.
  struct Side {
    let changes: BlockingCalls
    let windows: BlockingCalls
    let settling: BlockingCalls
  }

  init(_ file: File, _ path: String, _ syncs: Counter, _ side: Side) {
    self.side = side
    self.file = file
    self.path = path
    self.syncs = syncs
    disk = DiskFile(borrowing: file.descriptor, path: path)
  }

  func size() throws(StorageFailure) -> Int { try disk.size() }

  func read(
    at offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws(StorageFailure) -> Int { try disk.read(at: offset, into: buffer) }

  func write(at offset: Int, _ bytes: UnsafeRawBufferPointer) throws(StorageFailure) {
    try disk.write(at: offset, bytes)
  }

  func truncate(to size: Int) throws(StorageFailure) { try disk.truncate(to: size) }
  func allocate(_ size: Int) throws(StorageFailure) { try disk.allocate(size) }
  func sync() throws(StorageFailure) { try disk.sync() }
  func close() { file.close() }

  func map(_ length: Int) -> MappedFile? {
    MappedFile(descriptor: file.descriptor, length: length)
  }

  func openWindow(
    _ range: Range<Int>, completion: @escaping (Result<any FileWindow, StorageFailure>) -> Void
  ) {
    _ = file.lend()
    side.windows.run({ [windowed] () throws(StorageFailure) in try windowed.map(range) }) {
      [file, side] result in
      file.takeBack()
      completion(result.map { MappedWindow($0, side.windows) })
    }
  }

  func read(
    at offset: Int, into buffer: UnsafeMutableRawBufferPointer,
    completion: @escaping (Result<Int, StorageFailure>) -> Void
  ) {
    file.read(at: UInt64(offset), into: buffer) { [path] in
      completion($0.mapError { StorageFailure($0.code, "read", path) })
    }
  }

  func write(
    at offset: Int, _ bytes: UnsafeRawBufferPointer,
    completion: @escaping (Result<Void, StorageFailure>) -> Void
  ) {
    file.write(at: UInt64(offset), [bytes]) { [path] in
      completion($0.mapError { StorageFailure($0.code, "write", path) })
    }
  }

  func writeAndSync(
    at offset: Int, _ bytes: UnsafeRawBufferPointer,
    completion: @escaping (Result<Void, CommitFailure>) -> Void
  ) {
    syncs.add()
    file.writeAndSync(at: UInt64(offset), [bytes]) { [path] in
      completion(
        $0.mapError {
          let failure = StorageFailure($0.code, $0.operation, path)
          return $0.operation == "write" ? .write(failure) : .sync(failure)
        })
    }
  }

  func sync(completion: @escaping (Result<Void, StorageFailure>) -> Void) {
    syncs.add()
    file.dataSync { [path] in
      completion($0.mapError { StorageFailure($0.code, "fdatasync", path) })
    }
  }
  func truncate(to size: Int, completion: @escaping (Result<Void, StorageFailure>) -> Void) {
    run(side.changes, { (disk) throws(StorageFailure) in try disk.truncate(to: size) }, completion)
  }

  func allocate(_ size: Int, completion: @escaping (Result<Void, StorageFailure>) -> Void) {
    run(side.changes, { (disk) throws(StorageFailure) in try disk.allocate(size) }, completion)
  }

  func settle(completion: @escaping (Result<Void, StorageFailure>) -> Void) {
    syncs.add()
    run(side.settling, { (disk) throws(StorageFailure) in try disk.sync() }, completion)
  }

  func settle(
    at offset: Int, _ bytes: UnsafeRawBufferPointer,
    completion: @escaping (Result<Void, CommitFailure>) -> Void
  ) {
    syncs.add()
    // Whoever asks keeps the memory until the completion.
    nonisolated(unsafe) let bytes = bytes
    run(
      side.settling,
      { (disk) throws(CommitFailure) in
        do throws(StorageFailure) {
          try disk.write(at: offset, bytes)
        } catch {
          throw .write(error)
        }
        do throws(StorageFailure) { try disk.sync() } catch { throw .sync(error) }
      }, refused: { .write($0) }, completion)
  }

  private func run(
    _ thread: BlockingCalls, _ call: @escaping @Sendable (DiskFile) throws(StorageFailure) -> Void,
    _ completion: @escaping (Result<Void, StorageFailure>) -> Void
  ) { run(thread, call, refused: { $0 }, completion) }

  /// The descriptor stays open until it is done.
  private func run<Failure: Error>(
    _ thread: BlockingCalls, _ call: @escaping @Sendable (DiskFile) throws(Failure) -> Void,
    refused: (StorageFailure) -> Failure,
    _ completion: @escaping (Result<Void, Failure>) -> Void
  ) {
    let descriptor = file.lend()
    thread.run(
      { [path] () throws(Failure) in try call(DiskFile(borrowing: descriptor, path: path)) },
      refused: refused
    ) { [file] in
      file.takeBack()
      completion($0)
    }
  }
}
