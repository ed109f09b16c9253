/// The user headers of a message: entries of key and value, each with a kind, one after the other
/// (`[kind u8][length u32][bytes]` twice). Reads them in place.
public struct UserHeaders {
  /// Bytes of one message's user headers at most.
  public static let bytesMax = 100_000
  /// Bytes of one key or value: 1 to 255, though the length field has 32 bits.
  public static let fieldBytesMax = 255

  /// The type of a key or a value; numbers are little-endian.
  public enum Kind: UInt8, Sendable, CaseIterable {
    case raw = 1
    case string, bool, int8, int16, int32, int64, int128
    case uint8, uint16, uint32, uint64, uint128, float32, float64

    /// The one length values of this kind have; nil where any from 1 to 255 will do.
    public var fixedLength: Int? {
      switch self {
      case .raw, .string: nil
      case .bool, .int8, .uint8: 1
      case .int16, .uint16: 2
      case .int32, .uint32, .float32: 4
      case .int64, .uint64, .float64: 8
      case .int128, .uint128: 16
      }
    }
  }

  /// One entry; the ranges are of the bytes that were given.
  public struct Entry: Sendable, Hashable {
    public let keyKind: Kind
    public let key: Range<Int>
    public let valueKind: Kind
    public let value: Range<Int>
  }

  public let bytes: UnsafeRawBufferPointer
  private var at = 0

  public init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// The next entry; nil at the end.
  public mutating func next() throws(WireError) -> Entry? {
    guard at < bytes.count else { return nil }
    let (keyKind, key) = try field()
    let (valueKind, value) = try field()
    return Entry(keyKind: keyKind, key: key, valueKind: valueKind, value: value)
  }

  /// The entries whose key and value are strings, in their order; what is malformed ends the list.
  public var texts: [(String, String)] {
    var reader = UserHeaders(bytes)
    var found: [(String, String)] = []
    while let entry = try? reader.next() {
      guard entry.keyKind == .string, entry.valueKind == .string else { continue }
      found.append(
        (
          String(decoding: bytes.slice(entry.key), as: UTF8.self),
          String(decoding: bytes.slice(entry.value), as: UTF8.self)
        ))
    }
    return found
  }

  /// The value of the entry whose key is the string `key`; nil when there is none, or when the
  /// headers are malformed before it.
  public func value(of key: StaticString) -> UnsafeRawBufferPointer? {
    let wanted = UnsafeRawBufferPointer(start: key.utf8Start, count: key.utf8CodeUnitCount)
    var reader = UserHeaders(bytes)
    while let entry = try? reader.next() {
      let name = bytes.slice(entry.key)
      if entry.keyKind == .string, name.count == wanted.count, name.elementsEqual(wanted) {
        return bytes.slice(entry.value)
      }
    }
    return nil
  }

  private mutating func field() throws(WireError) -> (Kind, Range<Int>) {
    guard bytes.count - at >= 5 else {
      throw .truncated(offset: at, needed: 5, available: bytes.count - at)
    }
    let rawKind = bytes[at]
    let length = Int(bytes.littleEndian(at: at + 1, as: UInt32.self))
    guard let kind = Kind(rawValue: rawKind), length >= 1, length <= Self.fieldBytesMax,
      kind.fixedLength == nil || kind.fixedLength == length
    else { throw .headerEntry(offset: at, kind: rawKind, length: length) }
    let start = at + 5
    guard bytes.count - start >= length else {
      throw .truncated(offset: start, needed: length, available: bytes.count - start)
    }
    if kind == .bool, bytes[start] > 1 {
      throw .headerEntry(offset: at, kind: rawKind, length: length)
    }
    at = start + length
    return (kind, start..<at)
  }

  /// Bytes of an entry whose key and value are strings of these lengths.
  public static func entryLength(key: Int, value: Int) -> Int { 10 + key + value }

  /// Writes an entry of two strings, each 1 to 255 bytes, and returns its length.
  static func write(
    key: StaticString, value: UnsafeRawBufferPointer, to memory: UnsafeMutableRawBufferPointer
  ) -> Int {
    let name = UnsafeRawBufferPointer(start: key.utf8Start, count: key.utf8CodeUnitCount)
    precondition(!name.isEmpty && name.count <= fieldBytesMax, "a header's key has 1–255 bytes")
    precondition(!value.isEmpty && value.count <= fieldBytesMax, "a header has 1–255 bytes")
    let length = entryLength(key: name.count, value: value.count)
    precondition(memory.count >= length, "no room for the header")
    var at = 0
    func write(_ field: UnsafeRawBufferPointer) {
      memory.storeLittleEndian(Kind.string.rawValue, at: at)
      memory.storeLittleEndian(UInt32(field.count), at: at + 1)
      memory.copy(field, to: at + 5)
      at += 5 + field.count
    }
    write(name)
    write(value)
    return length
  }
}
