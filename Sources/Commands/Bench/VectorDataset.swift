import Base
import Glibc
import VectorIndex

/// Why a data set cannot be used: where, and what would be right.
struct DatasetError: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}

/// The types of component that data sets are made of.
enum ComponentType: String {
  case float32, float16, int8, uint8
  case int32

  var bytes: Int {
    switch self {
    case .float32, .int32: 4
    case .float16: 2
    case .int8, .uint8: 1
    }
  }

  /// Widens `count` components at `source` (any alignment, little-endian).
  func widen(_ source: UnsafeRawPointer, _ count: Int, into out: UnsafeMutablePointer<Float>) {
    switch self {
    case .float32:
      memcpy(out, source, count * 4)
    case .int32:
      for index in 0..<count {
        out[index] = Float(source.loadUnaligned(fromByteOffset: index * 4, as: Int32.self))
      }
    case .float16:
      for index in 0..<count {
        out[index] = Self.float(
          half: source.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self))
      }
    case .int8:
      let bytes = source.assumingMemoryBound(to: Int8.self)
      for index in 0..<count { out[index] = Float(bytes[index]) }
    case .uint8:
      let bytes = source.assumingMemoryBound(to: UInt8.self)
      for index in 0..<count { out[index] = Float(bytes[index]) }
    }
  }

  /// IEEE 754 binary16 → binary32, with subnormals, infinities and NaN.
  @inline(__always)
  static func float(half bits: UInt16) -> Float {
    let moved = Float(bitPattern: UInt32(bits & 0x7FFF) << 13) * 0x1p112
    let special: UInt32 = bits & 0x7C00 == 0x7C00 ? 0x7F80_0000 : 0
    return Float(bitPattern: moved.bitPattern | special | UInt32(bits & 0x8000) << 16)
  }
}

/// Rows of vectors in a file: where they begin, how far apart they are, and of what.
struct RowFile {
  let path: String
  let type: ComponentType
  let dimension: Int
  let count: Int
  /// Bytes before the first row, and from one row's start to the next.
  let offset: Int
  let stride: Int

  /// Rows read at once: some megabytes.
  private static let chunkBytes = 4 << 20

  init(
    path: String, type: ComponentType, dimension: Int, count: Int, offset: Int = 0,
    stride: Int? = nil
  ) throws(DatasetError) {
    self.path = path
    self.type = type
    self.dimension = dimension
    self.count = count
    self.offset = offset
    self.stride = stride ?? dimension * type.bytes
    guard VectorIndex.dimensionRange.contains(dimension), (0...VectorIndex.rowsMax).contains(count)
    else { throw DatasetError("\(path): \(count) rows of \(dimension) components") }
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw DatasetError("\(path): \(SystemError.text(errno))")
    }
    // The last row may end without the bytes that come before the next.
    let needed = offset + count * self.stride - (self.stride - dimension * type.bytes)
    guard Int(status.st_size) >= (count == 0 ? offset : needed) else {
      throw DatasetError(
        "\(path): \(status.st_size) bytes, but \(count) rows of \(dimension) need \(needed)")
    }
  }

  /// Calls `body` with pieces of the rows in `range`, in order, as Float32 one after the other.
  func forEach(
    _ range: Range<Int>,
    _ body: (_ first: Int, _ rows: UnsafeMutableBufferPointer<Float>) throws(DatasetError) -> Void
  ) throws(DatasetError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw DatasetError("\(path): \(SystemError.text(errno))") }
    defer { close(descriptor) }
    let step = max(1, Self.chunkBytes / (dimension * 4))
    var raw = [UInt8](repeating: 0, count: min(step, max(range.count, 1)) * stride)
    let floats = UnsafeMutableBufferPointer<Float>.allocate(
      capacity: min(step, max(range.count, 1)) * dimension)
    defer { floats.deallocate() }
    var first = range.lowerBound
    while first < range.upperBound {
      let rows = min(step, range.upperBound - first)
      try read(&raw, rows: rows, from: first, descriptor)
      raw.withUnsafeBytes { bytes in
        for row in 0..<rows {
          type.widen(
            bytes.baseAddress! + row * stride, dimension,
            into: floats.baseAddress! + row * dimension)
        }
      }
      try body(first, UnsafeMutableBufferPointer(rebasing: floats[..<(rows * dimension)]))
      first += rows
    }
  }

  /// All rows of `range`, one after the other.
  func floats(_ range: Range<Int>) throws(DatasetError) -> [Float] {
    var all: [Float] = []
    all.reserveCapacity(range.count * dimension)
    try forEach(range) { (_, rows) throws(DatasetError) in all.append(contentsOf: rows) }
    return all
  }

  private func read(
    _ raw: inout [UInt8], rows: Int, from first: Int, _ descriptor: Int32
  ) throws(DatasetError) {
    let wanted = (rows - 1) * stride + dimension * type.bytes
    var filled = 0
    while filled < wanted {
      let got = raw.withUnsafeMutableBytes {
        pread(
          descriptor, $0.baseAddress! + filled, wanted - filled,
          off_t(offset + first * stride + filled))
      }
      if got < 0, errno == EINTR { continue }
      guard got > 0 else {
        throw DatasetError("\(path): \(got < 0 ? SystemError.text(errno) : "ends too early")")
      }
      filled += got
    }
  }
}

/// Vectors to index, queries, and the exact answers when they are known.
struct VectorDataset {
  let name: String
  let metric: Metric
  let base: RowFile
  let queries: RowFile
  /// Row numbers, `truthK` a query, nearest first.
  let truthPath: String?
  let truthK: Int

  var dimension: Int { base.dimension }

  /// Bytes of a `meta.json`.
  private static let metaBytesMax = 1 << 20

  /// Reads the description in `directory` (docs/surface.md, "Vector data sets").
  init(directory: String) throws(DatasetError) {
    let path = Path.join(directory, "meta.json")
    guard let text = TextFile.read(path, limit: Self.metaBytesMax) else {
      throw DatasetError("\(path): cannot be read; a data set is a directory with a meta.json")
    }
    let meta: JSON
    do throws(JSONError) { meta = try JSON(parsing: text) } catch {
      throw DatasetError("\(path): \(error)")
    }
    let reader = MetaReader(path: path, directory: directory, meta: meta)
    try reader.checkEndian()
    name = meta["name"]?.string ?? Path.name(of: directory)
    metric = try reader.metric()
    let dimension = try reader.integer("dims")
    let type = try reader.type("dtype")
    base = try RowFile(
      path: reader.file("base"), type: type, dimension: dimension,
      count: reader.integer("count"))
    queries = try RowFile(
      path: reader.file("query"),
      type: meta["query_dtype"] == nil ? type : reader.type("query_dtype"),
      dimension: dimension, count: reader.integer("queries"))
    truthPath = meta["truth"] == nil ? nil : try reader.file("truth")
    truthK = truthPath == nil ? 0 : try reader.integer("truth_k")
  }

  /// The exact answers of the first `count` queries; nil when there are none of at least `k`.
  func truth(queries count: Int, k: Int) throws(DatasetError) -> [[Int]]? {
    guard let truthPath, truthK >= k, k > 0 else { return nil }
    guard let bytes = BinaryFile.read(truthPath), bytes.count >= count * truthK * 4 else {
      throw DatasetError("\(truthPath): shorter than \(count) rows of \(truthK) int32")
    }
    return bytes.withUnsafeBytes { raw in
      (0..<count).map { query in
        (0..<k).map { rank in
          Int(raw.loadUnaligned(fromByteOffset: (query * truthK + rank) * 4, as: Int32.self))
        }
      }
    }
  }
}

/// The members of a `meta.json`.
private struct MetaReader {
  let path: String
  let directory: String
  let meta: JSON

  func checkEndian() throws(DatasetError) {
    if let endian = meta["endian"], endian.string != "little" {
      throw DatasetError("\(path): endian: expected \"little\"")
    }
  }

  func metric() throws(DatasetError) -> Metric {
    switch meta["metric"]?.string {
    case "cosine", "angular": .cosine
    case "ip", "inner_product", "dot": .innerProduct
    case "l2", "euclidean", "sqeuclidean": .l2
    default: throw DatasetError("\(path): metric: expected \"cosine\", \"ip\" or \"l2\"")
    }
  }

  func integer(_ name: String) throws(DatasetError) -> Int {
    guard let value = meta[name]?.int, value > 0, value <= Int64(VectorIndex.rowsMax) else {
      throw DatasetError("\(path): \(name): expected a whole number from 1 on")
    }
    return Int(value)
  }

  func type(_ name: String) throws(DatasetError) -> ComponentType {
    switch meta[name]?.string {
    case "float32", "f32": .float32
    case "float16", "f16": .float16
    case "int8", "i8": .int8
    case "uint8", "u8": .uint8
    default:
      throw DatasetError(
        "\(path): \(name): expected \"float32\", \"float16\", \"int8\" or \"uint8\"")
    }
  }

  func file(_ name: String) throws(DatasetError) -> String {
    guard let file = meta[name]?.string, !file.isEmpty else {
      throw DatasetError("\(path): \(name): expected the name of a file beside it")
    }
    return Path.absolute(file, in: directory)
  }
}
