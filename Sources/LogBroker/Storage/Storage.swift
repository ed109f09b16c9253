// The log's port to the disk. A node hands in `RingStorage`, tests hand in a faulty one; nothing
// else of the log makes a system call. Paths are relative to the data directory.

/// A call to the file system that failed.
package struct StorageFailure: Error, Sendable, Hashable, CustomStringConvertible {
  package enum Kind: Sendable, Hashable {
    /// No room on the device, or over the quota: free space and try again.
    case diskFull
    /// The process or the system has no descriptor left.
    case descriptors
    case notFound
    /// Somebody else holds the lock.
    case locked
    /// Missing permission, or a read-only file system.
    case denied
    case other
  }

  package var kind: Kind
  /// What was attempted, where, and the system's words for why it failed.
  package var description: String

  package init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }
}

/// Why something did not become durable.
package enum CommitFailure: Error, Sendable, Hashable {
  /// Nothing is known about what was written. It may be tried again.
  case write(StorageFailure)
  /// The kernel may have dropped what it could not write: the file is fenced, never synced again.
  case sync(StorageFailure)

  /// Of a directory's sync. One that could not be opened was not synced in vain: nothing was asked of
  /// the disk.
  static func ofDirectory(_ failure: StorageFailure) -> CommitFailure {
    failure.kind == .descriptors ? .write(failure) : .sync(failure)
  }
}

/// A file with calls that block: for opening a log, when there is nothing else to do, and for
/// reading one offline.
package protocol StorageFile: AnyObject {
  /// Bytes in the file.
  func size() throws(StorageFailure) -> Int
  /// Fills `buffer` from `offset` on; the count is short only at the end of the file.
  func read(
    at offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws(StorageFailure) -> Int
  /// Writes all of `bytes`.
  func write(at offset: Int, _ bytes: UnsafeRawBufferPointer) throws(StorageFailure)
  func truncate(to size: Int) throws(StorageFailure)
  /// Reserves room for `size` bytes and makes the file that long, where the file system can.
  func allocate(_ size: Int) throws(StorageFailure)
  /// Makes what was written durable (fdatasync).
  func sync() throws(StorageFailure)
  /// Closes the file once operations in flight have completed.
  func close()
}

/// A file whose slow calls go through the event loop. Buffers stay valid until the completion,
/// which never runs inside the call.
package protocol LoopFile: StorageFile {
  func read(
    at offset: Int, into buffer: UnsafeMutableRawBufferPointer,
    completion: @escaping (Result<Int, StorageFailure>) -> Void)
  func write(
    at offset: Int, _ bytes: UnsafeRawBufferPointer,
    completion: @escaping (Result<Void, StorageFailure>) -> Void)
  /// Writes all of `bytes`, then makes the file durable.
  func writeAndSync(
    at offset: Int, _ bytes: UnsafeRawBufferPointer,
    completion: @escaping (Result<Void, CommitFailure>) -> Void)
  func sync(completion: @escaping (Result<Void, StorageFailure>) -> Void)
  /// `writeAndSync` of what nobody waits for: many at once, and no commit stands behind them.
  func settle(
    at offset: Int, _ bytes: UnsafeRawBufferPointer,
    completion: @escaping (Result<Void, CommitFailure>) -> Void)
  /// `sync`, likewise.
  func settle(completion: @escaping (Result<Void, StorageFailure>) -> Void)
  func truncate(to size: Int, completion: @escaping (Result<Void, StorageFailure>) -> Void)
  func allocate(_ size: Int, completion: @escaping (Result<Void, StorageFailure>) -> Void)
  /// The file's content from its start, to be read in place; nil where that is not to be had.
  func map(_ length: Int) -> MappedFile?
  /// Makes blocks that have room on the disk already ready to be stored to in place; nil where that
  /// is not to be had.
  func openWindow(
    _ range: Range<Int>, completion: @escaping (Result<any FileWindow, StorageFailure>) -> Void)
}

extension LoopFile {
  package func map(_ length: Int) -> MappedFile? { nil }

  package func settle(
    at offset: Int, _ bytes: UnsafeRawBufferPointer,
    completion: @escaping (Result<Void, CommitFailure>) -> Void
  ) { writeAndSync(at: offset, bytes, completion: completion) }

  package func settle(completion: @escaping (Result<Void, StorageFailure>) -> Void) {
    sync(completion: completion)
  }
}

/// Blocks of a file in memory. What is stored there is the kernel's at once, as after a write: it
/// survives the process and is durable with the file's next sync. A sync, or the kernel writing
/// back on its own, takes the pages' readiness away: the next store would wait for the file system.
/// So nothing is stored after a sync of the file was begun, or long after the window was opened.
package protocol FileWindow: AnyObject {
  /// In the file.
  var range: Range<Int> { get }
  /// Stores `bytes` at `offset` of the file; all of them inside `range`.
  func store(_ bytes: UnsafeRawBufferPointer, at offset: Int)
  /// Lets go of the memory. Called once; nothing is stored afterwards.
  func close()
}

/// A lock on the data directory; ends with `release`, and with the process.
package protocol StorageLock: AnyObject {
  func release()
}

package enum StorageAccess: Sendable {
  case read
  case write
  /// Makes the file, or empties the one that is there.
  case create
}

/// What opening and offline reading need.
package protocol Storage: AnyObject {
  func open(_ path: String, _ access: StorageAccess) throws(StorageFailure) -> any StorageFile
  /// Makes the directory and its missing parents; one that is there is fine.
  func makeDirectory(_ path: String) throws(StorageFailure)
  func rename(_ path: String, to target: String) throws(StorageFailure)
  /// Makes creations and renames in a directory durable.
  func syncDirectory(_ path: String) throws(StorageFailure)
  /// Removes the file; one that is not there is fine.
  func remove(_ path: String) throws(StorageFailure)
  /// The same for two names of one file, and for no other; nil when there is no such file.
  func identity(of path: String) throws(StorageFailure) -> UInt64?
  /// Differs when the machine has been started anew: what was written and not synced may be gone.
  var bootID: UInt128 { get }
  /// Takes the exclusive lock that the file at `path` stands for.
  func lock(_ path: String) throws(StorageFailure) -> any StorageLock
}

/// What a running log needs: the same without blocking. Completions never run inside the call.
package protocol LoopStorage: Storage {
  func openLoopFile(_ path: String, _ access: StorageAccess) throws(StorageFailure)
    -> any LoopFile
  /// - Parameter isDirect: for writes past the page cache, where the file system can: whole blocks,
  ///   from memory that begins at one.
  func openFile(
    _ path: String, _ access: StorageAccess, isDirect: Bool,
    completion: @escaping (Result<any LoopFile, StorageFailure>) -> Void)
  func makeDirectory(
    _ path: String, completion: @escaping (Result<Void, StorageFailure>) -> Void)
  func rename(
    _ path: String, to target: String,
    completion: @escaping (Result<Void, StorageFailure>) -> Void)
  func remove(_ path: String, completion: @escaping (Result<Void, StorageFailure>) -> Void)
  /// Makes the packed copy of a segment file (`SegmentPacker`); gives the copy's bytes.
  func pack(
    _ path: String, size: Int, completion: @escaping (Result<Int, CommitFailure>) -> Void)
  func syncDirectory(
    _ path: String, completion: @escaping (Result<Void, StorageFailure>) -> Void)
}

extension Storage {
  /// The whole file; nil when there is none.
  func contents(of path: String) throws(StorageFailure) -> [UInt8]? {
    let file: any StorageFile
    do {
      file = try open(path, .read)
    } catch {
      if error.kind == .notFound { return nil }
      throw error
    }
    defer { file.close() }
    var bytes = [UInt8](repeating: 0, count: try file.size())
    let count: Result<Int, StorageFailure> = bytes.withUnsafeMutableBytes { buffer in
      do throws(StorageFailure) {
        return .success(try file.read(at: 0, into: buffer))
      } catch {
        return .failure(error)
      }
    }
    return Array(bytes.prefix(try count.get()))
  }

  /// Replaces the file whole, durably: after a crash there is the old one or the new one.
  func replace(_ path: String, in directory: String, with bytes: [UInt8]) throws(StorageFailure) {
    let file = try open(path + ".tmp", .create)
    defer { file.close() }
    let written: Result<Void, StorageFailure> = bytes.withUnsafeBytes { buffer in
      do throws(StorageFailure) {
        return .success(try file.write(at: 0, buffer))
      } catch {
        return .failure(error)
      }
    }
    try written.get()
    try file.sync()
    try rename(path + ".tmp", to: path)
    try syncDirectory(directory)
  }
}

extension StorageFile {
  /// Writes zeros. A journal is written once in full, so that a commit's sync has no allocation to
  /// make durable with it.
  ///
  /// In small steps: the kernel keeps what is written at once as one piece of its cache, and writes
  /// the whole of that wherever pages of it were stored to (`FileWindow`).
  func fill(from: Int, to size: Int) throws(StorageFailure) {
    let zeros = AlignedBuffer(capacity: min(LogLimits.windowBytesMin, size))
    zeros.bytes.initializeMemory(as: UInt8.self, repeating: 0)
    for offset in stride(from: from, to: size, by: zeros.bytes.count) {
      let count = min(zeros.bytes.count, size - offset)
      try write(at: offset, UnsafeRawBufferPointer(rebasing: zeros.bytes[0..<count]))
    }
  }
}
