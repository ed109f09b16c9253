import Iggy

/// A packed segment, read as the segment it was made from. Blocks. What is damaged reads as zeros,
/// or as nothing where it is not even known what stands where: the walk over the frames tells.
final class PackedFile: StorageFile {
  private let file: any StorageFile
  private let header: PackedHeader?
  private let coder = BlockCoder(isForPacking: false)

  /// Takes over `file`.
  init(_ file: any StorageFile) throws(StorageFailure) {
    self.file = file
    header = try Self.header(file, PackedHeader.firstReadBytes)
  }

  private static func header(
    _ file: any StorageFile, _ bytes: Int
  ) throws(StorageFailure) -> PackedHeader? {
    let buffer = AlignedBuffer(capacity: bytes)
    let count = try file.read(at: 0, into: buffer.bytes.slice(0..<bytes))
    switch PackedHeader.read(UnsafeRawBufferPointer(buffer.bytes.slice(0..<count))) {
    case .valid(let header): return header
    case .needs(let more) where count == bytes && more > bytes: return try self.header(file, more)
    case .needs, .damaged: return nil
    }
  }

  /// Of the segment, as far as its blocks are there.
  func size() throws(StorageFailure) -> Int {
    guard let header else { return 0 }
    let found = try file.size()
    let whole = header.ends.firstIndex { $0 > found } ?? header.count
    return min(header.size, whole * header.blockBytes)
  }

  func read(
    at offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws(StorageFailure) -> Int {
    guard let header else { return 0 }
    let count = max(0, min(buffer.count, header.size - offset))
    let blocks = header.blocks(offset..<offset + count)
    let place = header.place(of: blocks)
    guard !place.isEmpty else { return 0 }
    let compressed = AlignedBuffer(capacity: place.count)
    let bytes = compressed.bytes.slice(0..<place.count)
    let found = try file.read(at: place.lowerBound, into: bytes)
    bytes.slice(found..<place.count).initializeMemory(as: UInt8.self, repeating: 0)
    coder.inflate(
      UnsafeRawBufferPointer(bytes), blocks, of: header, at: offset,
      into: buffer.slice(0..<count))
    return count
  }

  func write(at offset: Int, _ bytes: UnsafeRawBufferPointer) throws(StorageFailure) {
    throw Self.refusal
  }

  func truncate(to size: Int) throws(StorageFailure) { throw Self.refusal }
  func allocate(_ size: Int) throws(StorageFailure) { throw Self.refusal }
  func sync() throws(StorageFailure) { try file.sync() }
  func close() { file.close() }

  static let refusal = StorageFailure(.other, "a packed segment is not written to")
}

/// The same through the event loop.
final class PackedLoopFile: LoopFile {
  private let file: any LoopFile
  private let header: PackedHeader?
  private let coder = BlockCoder(isForPacking: false)

  private init(_ file: any LoopFile, _ header: PackedHeader?) {
    self.file = file
    self.header = header
  }

  /// Takes over `file` and reads what it has to know of it.
  static func open(
    _ file: any LoopFile, bytes: Int = PackedHeader.firstReadBytes,
    completion: @escaping (Result<any LoopFile, StorageFailure>) -> Void
  ) {
    let buffer = AlignedBuffer(capacity: bytes)
    file.read(at: 0, into: buffer.bytes.slice(0..<bytes)) { result in
      let count: Int
      switch result {
      case .success(let read): count = read
      case .failure(let failure):
        file.close()
        return completion(.failure(failure))
      }
      switch PackedHeader.read(UnsafeRawBufferPointer(buffer.bytes.slice(0..<count))) {
      case .valid(let header): completion(.success(PackedLoopFile(file, header)))
      case .needs(let more) where count == bytes && more > bytes:
        open(file, bytes: more, completion: completion)
      case .needs, .damaged: completion(.success(PackedLoopFile(file, nil)))
      }
    }
  }

  func read(
    at offset: Int, into buffer: UnsafeMutableRawBufferPointer,
    completion: @escaping (Result<Int, StorageFailure>) -> Void
  ) {
    let count = max(0, min(buffer.count, (header?.size ?? 0) - offset))
    let blocks = header?.blocks(offset..<offset + count) ?? 0..<0
    let place = header?.place(of: blocks) ?? 0..<0
    // Without blocks nothing is read; the completion comes all the same in its own time.
    let compressed = AlignedBuffer(capacity: max(1, place.count))
    let bytes = compressed.bytes.slice(0..<place.count)
    file.read(at: place.lowerBound, into: bytes) { [self] result in
      withExtendedLifetime(compressed) {}
      guard case .success(let found) = result, let header else { return completion(result) }
      guard !place.isEmpty else { return completion(.success(0)) }
      bytes.slice(found..<place.count).initializeMemory(as: UInt8.self, repeating: 0)
      coder.inflate(
        UnsafeRawBufferPointer(bytes), blocks, of: header, at: offset,
        into: buffer.slice(0..<count))
      completion(.success(count))
    }
  }

  func close() { file.close() }

  // MARK: What is not done to one

  func size() throws(StorageFailure) -> Int { header?.size ?? 0 }

  func read(
    at offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws(StorageFailure) -> Int { throw PackedFile.refusal }

  func write(at offset: Int, _ bytes: UnsafeRawBufferPointer) throws(StorageFailure) {
    throw PackedFile.refusal
  }

  func truncate(to size: Int) throws(StorageFailure) { throw PackedFile.refusal }
  func allocate(_ size: Int) throws(StorageFailure) { throw PackedFile.refusal }
  func sync() throws(StorageFailure) { throw PackedFile.refusal }

  func write(
    at offset: Int, _ bytes: UnsafeRawBufferPointer,
    completion: @escaping (Result<Void, StorageFailure>) -> Void
  ) { completion(.failure(PackedFile.refusal)) }

  func writeAndSync(
    at offset: Int, _ bytes: UnsafeRawBufferPointer,
    completion: @escaping (Result<Void, CommitFailure>) -> Void
  ) { completion(.failure(.write(PackedFile.refusal))) }

  func sync(completion: @escaping (Result<Void, StorageFailure>) -> Void) {
    completion(.failure(PackedFile.refusal))
  }

  func truncate(to size: Int, completion: @escaping (Result<Void, StorageFailure>) -> Void) {
    completion(.failure(PackedFile.refusal))
  }

  func allocate(_ size: Int, completion: @escaping (Result<Void, StorageFailure>) -> Void) {
    completion(.failure(PackedFile.refusal))
  }

  func openWindow(
    _ range: Range<Int>, completion: @escaping (Result<any FileWindow, StorageFailure>) -> Void
  ) { completion(.failure(PackedFile.refusal)) }
}

extension Storage {
  /// The segment's file for reading, packed or not.
  func openSegment(_ segment: Segment) throws(StorageFailure) -> any StorageFile {
    let file = try open(segment.path, .read)
    return segment.isPacked ? try PackedFile(file) : file
  }
}
