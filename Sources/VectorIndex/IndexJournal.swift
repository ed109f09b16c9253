import CVector
import Glibc

/// Changes since an index was saved, appended to a file beside it.
///
/// Little-endian. The header, 32 bytes: `VIDXJRNL`, version and dimension (u32), the sequence
/// number of the last change before the first (u64), 0 (u32), CRC-32C of the 28 bytes before. A
/// record: sequence number (u64), bytes of the payload (u32), operation (u32), CRC-32C of the
/// payload and of the 20 bytes before (u32 each); then the payload: the id (u64) and, for an
/// upsert, the components (Float32).
struct IndexJournal: ~Copyable {
  enum Change {
    case upsert(id: UInt64, vector: [Float])
    case remove(id: UInt64)
  }

  static let magic: UInt64 = 0x4C4E_524A_5844_4956  // "VIDXJRNL"
  static let version: UInt32 = 1
  static let headerBytes = 32
  static let recordBytes = 24

  private let file: IndexFileAccess
  private(set) var sequence: UInt64
  private var end: Int
  /// Of the last record.
  private var lastBytes = 0
  /// A write or flush that failed: what is on the disk is not known, so nothing is appended any
  /// more.
  private(set) var isBroken = false

  /// Bytes of a torn end that opening cut off.
  let tornBytes: Int

  private init(
    file: consuming IndexFileAccess, sequence: UInt64, end: Int, tornBytes: Int = 0
  ) {
    self.file = file
    self.tornBytes = tornBytes
    self.sequence = sequence
    self.end = end
  }

  /// Puts an empty journal in the place of what is at `path`.
  static func create(_ path: String, dimension: Int, after sequence: UInt64)
    throws(VectorIndexError) -> IndexJournal
  {
    try IndexFileAccess.replace(path) { (file) throws(VectorIndexError) in
      do throws(IndexFileError) {
        try file.write(header(dimension: dimension, after: sequence), at: 0)
      } catch { throw .file(error) }
    }
    do throws(IndexFileError) {
      let file = try IndexFileAccess(opening: path, flags: O_RDWR)
      return IndexJournal(file: file, sequence: sequence, end: headerBytes)
    } catch { throw .file(error) }
  }

  // MARK: Appending

  /// Appends a change; it survives the end of this process, and after `flush` that of the machine.
  mutating func append(_ change: Change) throws(IndexFileError) {
    guard !isBroken else { throw .journalBroken }
    let record = Self.encode(change, sequence: sequence + 1)
    do throws(IndexFileError) {
      try file.write(record, at: end)
    } catch {
      // A part may stand there; cut off, the journal ends as before.
      do throws(IndexFileError) { try file.truncate(to: end) } catch { isBroken = true }
      throw error
    }
    lastBytes = record.count
    end += record.count
    sequence += 1
  }

  /// Takes the change that was appended last back: the index refused it.
  mutating func retractLast() {
    end -= lastBytes
    sequence -= 1
    lastBytes = 0
    do throws(IndexFileError) { try file.truncate(to: end) } catch { isBroken = true }
  }

  mutating func flush() throws(IndexFileError) {
    guard !isBroken else { throw .journalBroken }
    do throws(IndexFileError) { try file.synchronizeData() } catch {
      // The kernel may have dropped the pages: a later flush that succeeds would prove nothing.
      isBroken = true
      throw error
    }
  }

  private static func header(dimension: Int, after sequence: UInt64) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: headerBytes)
    bytes.withUnsafeMutableBytes { out in
      out.storeBytes(of: magic.littleEndian, toByteOffset: 0, as: UInt64.self)
      out.storeBytes(of: version.littleEndian, toByteOffset: 8, as: UInt32.self)
      out.storeBytes(of: UInt32(dimension).littleEndian, toByteOffset: 12, as: UInt32.self)
      out.storeBytes(of: sequence.littleEndian, toByteOffset: 16, as: UInt64.self)
      let checksum = cvector_crc32c(0, out.baseAddress, 28)
      out.storeBytes(of: checksum.littleEndian, toByteOffset: 28, as: UInt32.self)
    }
    return bytes
  }

  private static func encode(_ change: Change, sequence: UInt64) -> [UInt8] {
    let (id, vector, operation): (UInt64, [Float], UInt32) =
      switch change {
      case .upsert(let id, let vector): (id, vector, 1)
      case .remove(let id): (id, [], 2)
      }
    let payload = 8 + vector.count * 4
    var bytes = [UInt8](repeating: 0, count: recordBytes + payload)
    bytes.withUnsafeMutableBytes { out in
      out.storeBytes(of: sequence.littleEndian, toByteOffset: 0, as: UInt64.self)
      out.storeBytes(of: UInt32(payload).littleEndian, toByteOffset: 8, as: UInt32.self)
      out.storeBytes(of: operation.littleEndian, toByteOffset: 12, as: UInt32.self)
      out.storeBytes(of: id.littleEndian, toByteOffset: recordBytes, as: UInt64.self)
      for (index, value) in vector.enumerated() {
        out.storeBytes(
          of: value.bitPattern.littleEndian, toByteOffset: recordBytes + 8 + index * 4,
          as: UInt32.self)
      }
      let checksum = cvector_crc32c(0, out.baseAddress! + recordBytes, payload)
      out.storeBytes(of: checksum.littleEndian, toByteOffset: 16, as: UInt32.self)
      let head = cvector_crc32c(0, out.baseAddress, 20)
      out.storeBytes(of: head.littleEndian, toByteOffset: 20, as: UInt32.self)
    }
    return bytes
  }

  // MARK: Replaying

  /// Opens the journal at `path` and hands its changes after `saved` to `apply`, in order. A torn
  /// end, which a crash leaves, is cut off; damage that no crash explains is an error.
  static func open(
    _ path: String, dimension: Int, after saved: UInt64,
    _ apply: (Change) throws(VectorIndexError) -> Void
  ) throws(VectorIndexError) -> IndexJournal {
    do throws(IndexFileError) {
      let file = try IndexFileAccess(opening: path, flags: O_RDWR)
      var reader = try JournalReader(file, dimension: dimension)
      guard reader.sequence <= saved else {
        throw IndexFileError.inconsistent("the journal begins after the index was saved")
      }
      var failure: VectorIndexError?
      while failure == nil, let change = try reader.next() {
        guard reader.sequence > saved else { continue }
        do throws(VectorIndexError) { try apply(change) } catch { failure = error }
      }
      if let failure { throw IndexFileError.inconsistent("a change that cannot be: \(failure)") }
      let torn = reader.bytes.count - reader.at
      if torn > 0 { try file.truncate(to: reader.at) }
      return IndexJournal(
        file: file, sequence: max(reader.sequence, saved), end: reader.at, tornBytes: torn)
    } catch { throw .file(error) }
  }
}

/// Walks over the records of a journal.
private struct JournalReader {
  let bytes: [UInt8]
  private let dimension: Int
  private(set) var at = IndexJournal.headerBytes
  /// Of the last record that was read.
  private(set) var sequence: UInt64

  init(_ file: borrowing IndexFileAccess, dimension: Int) throws(IndexFileError) {
    var bytes = [UInt8](repeating: 0, count: try file.size())
    let isWhole = try bytes.withMutableRawBytes { (memory) throws(IndexFileError) in
      try file.read(into: memory, at: 0)
    }
    guard isWhole, bytes.count >= IndexJournal.headerBytes else {
      throw .sizeMismatch(expected: IndexJournal.headerBytes, actual: bytes.count)
    }
    self.bytes = bytes
    self.dimension = dimension
    sequence = 0
    guard wide(0) == IndexJournal.magic else { throw .notAnIndex }
    guard word(8) == IndexJournal.version else { throw .versionUnsupported(word(8)) }
    guard checksum(0..<28) == word(28) else { throw .checksumMismatch(section: "journal header") }
    guard word(12) == UInt32(dimension) else {
      throw .inconsistent("the journal is of dimension \(word(12)), the index of \(dimension)")
    }
    sequence = wide(16)
  }

  /// Nil at the end, or where it is torn.
  mutating func next() throws(IndexFileError) -> IndexJournal.Change? {
    let left = bytes.count - at
    guard left >= IndexJournal.recordBytes else { return nil }
    guard checksum(at..<at + 20) == word(at + 20) else {
      // A file that grew before its data came ends in zeros.
      guard bytes[at...].allSatisfy({ $0 == 0 }) else {
        throw .checksumMismatch(section: "journal record at \(at)")
      }
      return nil
    }
    let payload = Int(word(at + 8))
    guard payload <= left - IndexJournal.recordBytes else { return nil }
    let start = at + IndexJournal.recordBytes
    guard checksum(start..<start + payload) == word(at + 16) else {
      guard start + payload == bytes.count else {
        throw .checksumMismatch(section: "journal record at \(at)")
      }
      return nil
    }
    guard wide(at) == sequence + 1 else {
      throw .inconsistent("journal record at \(at): change \(wide(at)) after \(sequence)")
    }
    let change = try change(word(at + 12), start, payload)
    sequence += 1
    at = start + payload
    return change
  }

  private func change(_ operation: UInt32, _ start: Int, _ payload: Int) throws(IndexFileError)
    -> IndexJournal.Change
  {
    if operation == 2, payload == 8 { return .remove(id: wide(start)) }
    guard operation == 1, payload == 8 + dimension * 4 else {
      throw .inconsistent("journal record at \(at): operation \(operation) of \(payload) bytes")
    }
    return .upsert(
      id: wide(start),
      vector: (0..<dimension).map { Float(bitPattern: word(start + 8 + $0 * 4)) })
  }

  private func checksum(_ range: Range<Int>) -> UInt32 {
    bytes.withUnsafeBytes { cvector_crc32c(0, $0.baseAddress! + range.lowerBound, range.count) }
  }

  private func word(_ at: Int) -> UInt32 {
    bytes.withUnsafeBytes {
      UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: UInt32.self))
    }
  }

  private func wide(_ at: Int) -> UInt64 { UInt64(word(at)) | UInt64(word(at + 4)) << 32 }
}
