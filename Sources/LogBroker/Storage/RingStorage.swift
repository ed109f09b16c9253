package import Base
import CLinux
import Glibc
package import UringIO

/// Files under one directory; what is slow goes through an event loop's ring.
package final class RingStorage: LoopStorage {
  private let disk: DiskStorage
  private let loop: EventLoop
  private let side = SideThreads(threads: 1)
  /// Syncs that were asked of the kernel while the log runs, of files and directories.
  package let syncs = Counter()

  /// - Parameter root: absolute, or relative to the working directory.
  package init(root: String, loop: EventLoop) {
    disk = DiskStorage(root: root)
    self.loop = loop
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
  {
    do throws(IOFailure) {
      return RingFile(
        try loop.openFile(path: disk.absolute(path), flags: access.flags, mode: 0o600), path, syncs)
    } catch {
      throw StorageFailure(error.code, "open", path)
    }
  }

  package func openDirectFile(_ path: String, _ access: StorageAccess) throws(StorageFailure)
    -> any LoopFile
  {
    let flags = access.flags | kfm_o_direct()
    do throws(IOFailure) {
      return RingFile(
        try loop.openFile(path: disk.absolute(path), flags: flags, mode: 0o600), path, syncs)
    } catch {
      if error.code != EINVAL { throw StorageFailure(error.code, "open", path) }
      // The file system cannot write past the page cache.
      return try openLoopFile(path, access)
    }
  }

  package func syncDirectory(
    _ path: String, completion: @escaping (Result<Void, StorageFailure>) -> Void
  ) {
    syncs.add()
    // The ring's sync is an fdatasync, which does not cover a directory's entries.
    let sync: @Sendable () -> Result<Void, StorageFailure> = { [disk] in
      do throws(StorageFailure) {
        return .success(try disk.syncDirectory(path))
      } catch {
        return .failure(error)
      }
    }
    do {
      try side.run(sync, on: loop, completion: completion)
    } catch {
      loop.enqueue { completion(sync()) }
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

  init(_ file: File, _ path: String, _ syncs: Counter) {
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
}
