import Glibc
import Iggy

/// Makes the packed copy of a closed segment, whole and durable before it has its name. Blocks, and
/// takes its time: not for a loop's thread.
package struct SegmentPacker {
  private let storage: any Storage
  private let path: String
  private let size: Int

  /// - Parameters:
  ///   - path: of the segment's file.
  ///   - size: bytes of the segment.
  package init(storage: any Storage, path: String, size: Int) {
    self.storage = storage
    self.path = path
    self.size = size
  }

  /// Where the packed copy of the segment at `path` stands.
  static func packedPath(_ path: String) -> String { String(path.dropLast(4)) + ".zst" }

  /// Returns the copy's bytes.
  package func run() throws(CommitFailure) -> Int {
    let packed = Self.packedPath(path)
    let directory = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
    let (bytes, copy) = try attempt { () throws(StorageFailure) -> (Int, any StorageFile) in
      let source = try storage.open(path, .read)
      defer { source.close() }
      let copy = try storage.open(packed + ".tmp", .create)
      do throws(StorageFailure) {
        return (try write(source, to: copy), copy)
      } catch {
        copy.close()
        throw error
      }
    }
    defer { copy.close() }
    do throws(StorageFailure) { try copy.sync() } catch { throw .sync(error) }
    try attempt { () throws(StorageFailure) in try storage.rename(packed + ".tmp", to: packed) }
    do throws(StorageFailure) { try storage.syncDirectory(directory) } catch { throw .sync(error) }
    return bytes
  }

  private func write(
    _ source: any StorageFile, to copy: any StorageFile
  ) throws(StorageFailure) -> Int {
    var header = PackedHeader(size: size)
    let coder = BlockCoder(isForPacking: true)
    let plain = AlignedBuffer(capacity: header.blockBytes)
    let check = AlignedBuffer(capacity: header.blockBytes)
    let packed = AlignedBuffer(capacity: BlockCoder.bound(header.blockBytes))
    var end = header.headLength
    for block in 0..<header.count {
      let range = header.range(of: block)
      let bytes = plain.bytes.slice(0..<range.count)
      guard try source.read(at: range.lowerBound, into: bytes) == range.count,
        let count = coder.compress(UnsafeRawBufferPointer(bytes), into: packed.bytes)
      else { throw StorageFailure(.other, "\(path) cannot be packed") }
      let result = UnsafeRawBufferPointer(packed.bytes.slice(0..<count))
      // The original goes when this is durable: only what gives it back counts.
      let inflated = check.bytes.slice(0..<range.count)
      guard coder.inflate(result, into: inflated),
        memcmp(inflated.baseAddress!, bytes.baseAddress!, range.count) == 0
      else { throw StorageFailure(.other, "\(path): a block does not inflate to what it was") }
      try copy.write(at: end, result)
      end += count
      header.ends.append(end)
    }
    let head = AlignedBuffer(capacity: header.headLength)
    header.write(to: head.bytes.slice(0..<header.headLength))
    try copy.write(at: 0, UnsafeRawBufferPointer(head.bytes.slice(0..<header.headLength)))
    return end
  }

  private func attempt<Value>(
    _ body: () throws(StorageFailure) -> Value
  ) throws(CommitFailure) -> Value {
    do throws(StorageFailure) { return try body() } catch { throw .write(error) }
  }
}
