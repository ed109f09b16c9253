import Base

/// A matrix of Float16, row by row, in a mapped safetensors file with one tensor.
package final class HalfFloatRows: Sendable {
  let rows: Int
  let columns: Int
  private let file: MappedFile
  private let start: Int

  /// Bytes of a safetensors header that are read; with one tensor it has about a hundred.
  private static let headerBytesMax = 1 << 20
  private static let columnsMax = 4_096

  init(path: String) throws(MemoryError) {
    file = try MappedFile(path: path)
    let header = file.withBytes(Self.header)
    guard let header else {
      throw .malformed(
        path: path,
        reason: "no tensor embedding.weight of type F16 with two dimensions at offset 0")
    }
    (start, rows, columns) = header
    guard (1...Self.columnsMax).contains(columns), rows > 0,
      rows <= (file.count - start) / (2 * columns)
    else { throw .malformed(path: path, reason: "\(rows) × \(columns) does not fit the file") }
  }

  /// Where the data begins, rows and columns; nil for another kind of file.
  private static func header(_ bytes: UnsafeRawBufferPointer)
    -> (start: Int, rows: Int, columns: Int)?
  {
    guard bytes.count > 8 else { return nil }
    let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    guard length <= UInt64(min(headerBytesMax, bytes.count - 8)) else { return nil }
    let start = 8 + Int(length)
    return shape(JSONScanner(bytes), header: 8..<start).map { (start, $0, $1) }
  }

  private static func shape(_ scanner: JSONScanner, header: Range<Int>) -> (Int, Int)? {
    guard let tensor = scanner.member("embedding.weight", in: header),
      let type = scanner.member("dtype", in: tensor), scanner.string(type) == "F16",
      let shape = scanner.member("shape", in: tensor),
      let offsets = scanner.member("data_offsets", in: tensor)
    else { return nil }
    var sizes: [Int] = []
    scanner.items(in: shape) { item in
      sizes.append(Int(scanner.integer(item) ?? 0))
      return sizes.count < 3
    }
    var first: Int64?
    scanner.items(in: offsets) { item in
      first = scanner.integer(item)
      return false
    }
    return sizes.count == 2 && first == 0 ? (sizes[0], sizes[1]) : nil
  }

  /// Adds a row to `sum`, which has `columns` places; a row that is not there adds nothing.
  func add(row: UInt32, to sum: inout [Float]) {
    guard Int(row) < rows else { return }
    let base = start + Int(row) * columns * 2
    file.withBytes { bytes in
      for column in 0..<columns {
        let bits = bytes.loadUnaligned(fromByteOffset: base + 2 * column, as: UInt16.self)
        sum[column] += Self.float(UInt16(littleEndian: bits))
      }
    }
  }

  /// IEEE 754 binary16 → binary32, subnormals included: the exponent is moved by a
  /// multiplication, so that there is no branch and no library call. Infinity and NaN, which
  /// trained weights do not have, become large numbers.
  @inline(__always)
  package static func float(_ bits: UInt16) -> Float {
    let magnitude = Float(bitPattern: UInt32(bits & 0x7FFF) << 13) * 0x1p112
    return Float(bitPattern: magnitude.bitPattern | UInt32(bits & 0x8000) << 16)
  }

  func releasePages() { file.release() }
}
