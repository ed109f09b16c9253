import Glibc
import VectorIndex

/// Files of vectors that other tools write: `.fvecs` (each row its length as int32, then Float32),
/// `.fbin` (rows and components as uint32, then Float32), `.npy` (NumPy, version 1 to 3, C order).
enum VectorFile {
  /// Bytes of a NumPy header; with two dimensions it has about a hundred.
  private static let headerBytesMax = 64 << 10

  /// Where the rows of the file lie.
  static func rows(_ path: String) throws(DatasetError) -> RowFile {
    switch path.split(separator: ".").last {
    case "fvecs": try fvecs(path)
    case "fbin": try fbin(path)
    case "npy": try npy(path)
    default: throw DatasetError("\(path): expected .fvecs, .fbin or .npy, or a data set directory")
    }
  }

  private static func fvecs(_ path: String) throws(DatasetError) -> RowFile {
    let (head, size) = try start(of: path, bytes: 4)
    let dimension = Int(word(head, 0))
    guard VectorIndex.dimensionRange.contains(dimension) else {
      throw DatasetError("\(path): its first row has \(dimension) components")
    }
    let stride = 4 + dimension * 4
    guard size % stride == 0 else {
      throw DatasetError("\(path): \(size) bytes are no whole rows of \(dimension) components")
    }
    return try RowFile(
      path: path, type: .float32, dimension: dimension, count: size / stride, offset: 4,
      stride: stride)
  }

  private static func fbin(_ path: String) throws(DatasetError) -> RowFile {
    let (head, _) = try start(of: path, bytes: 8)
    return try RowFile(
      path: path, type: .float32, dimension: Int(word(head, 4)), count: Int(word(head, 0)),
      offset: 8)
  }

  private static func npy(_ path: String) throws(DatasetError) -> RowFile {
    let (head, _) = try start(of: path, bytes: headerBytesMax)
    guard head.count >= 12, head.starts(with: [0x93] + Array("NUMPY".utf8)) else {
      throw DatasetError("\(path): not a NumPy file")
    }
    let isFirst = head[6] == 1
    let length = isFirst ? Int(head[8]) | Int(head[9]) << 8 : Int(word(head, 8))
    let begin = isFirst ? 10 : 12
    guard length <= head.count - begin else { throw DatasetError("\(path): a header cut short") }
    let text = String(decoding: head[begin..<begin + length], as: UTF8.self)
    guard let type = type(text), text.contains("'fortran_order': False"),
      let shape = shape(text), shape.count == 2
    else {
      throw DatasetError(
        "\(path): expected two dimensions of <f4, <f2, |i1 or |u1 in C order, found \(text)")
    }
    return try RowFile(
      path: path, type: type, dimension: shape[1], count: shape[0], offset: begin + length)
  }

  private static func type(_ header: String) -> ComponentType? {
    let types: [(String, ComponentType)] = [
      ("'<f4'", .float32), ("'<f2'", .float16), ("'|i1'", .int8), ("'|u1'", .uint8),
    ]
    return types.first { header.contains($0.0) }?.1
  }

  private static func shape(_ header: String) -> [Int]? {
    guard let open = header.lastIndex(of: "("), let close = header.lastIndex(of: ")"), open < close
    else { return nil }
    let numbers = header[header.index(after: open)..<close].split(separator: ",")
    let shape = numbers.map { Int(String($0.filter { $0 != " " })) }
    return shape.contains(nil) ? nil : shape.compactMap { $0 }
  }

  /// The first bytes of a file, and its size.
  private static func start(of path: String, bytes limit: Int) throws(DatasetError)
    -> (bytes: [UInt8], size: Int)
  {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw DatasetError("\(path): \(SystemError.text(errno))") }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_size >= min(limit, 8) else {
      throw DatasetError("\(path): too short to be a file of vectors")
    }
    var bytes = [UInt8](repeating: 0, count: min(limit, Int(status.st_size)))
    let got = pread(descriptor, &bytes, bytes.count, 0)
    guard got == bytes.count else { throw DatasetError("\(path): \(SystemError.text(errno))") }
    return (bytes, Int(status.st_size))
  }

  private static func word(_ bytes: [UInt8], _ at: Int) -> UInt32 {
    bytes.withUnsafeBytes {
      UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: UInt32.self))
    }
  }
}

/// Vectors in memory, and queries that are not among them.
struct BenchVectors {
  var label: String
  var metric: Metric
  var dimension: Int
  /// One after the other.
  var rows: [Float]
  var queries: [Float]

  var count: Int { rows.count / dimension }
  var queryCount: Int { queries.count / dimension }

  /// Queries taken out of a file that has none of its own.
  private static let heldOutMax = 500

  /// A data set directory, or a file whose every n-th row becomes a query.
  init(path: String, metric: Metric?) throws(DatasetError) {
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw DatasetError("\(path): \(SystemError.text(errno))")
    }
    if status.st_mode & S_IFMT == S_IFDIR {
      let data = try VectorDataset(directory: path)
      self.init(
        label: data.name, metric: metric ?? data.metric, dimension: data.dimension,
        rows: try data.base.floats(0..<data.base.count),
        queries: try data.queries.floats(0..<data.queries.count))
    } else {
      let file = try VectorFile.rows(path)
      self.init(
        label: Path.name(of: path), metric: metric ?? .cosine, dimension: file.dimension,
        holdingOutOf: try file.floats(0..<file.count))
    }
  }

  init(label: String, metric: Metric, dimension: Int, rows: [Float], queries: [Float]) {
    self.label = label
    self.metric = metric
    self.dimension = dimension
    self.rows = rows
    self.queries = queries
  }

  private init(label: String, metric: Metric, dimension: Int, holdingOutOf all: [Float]) {
    let count = all.count / dimension
    let step = max(2, count / Self.heldOutMax)
    var rows: [Float] = []
    var queries: [Float] = []
    rows.reserveCapacity(all.count)
    for row in 0..<count {
      let vector = all[row * dimension..<(row + 1) * dimension]
      if row % step == step - 1 { queries += vector } else { rows += vector }
    }
    self.init(label: label, metric: metric, dimension: dimension, rows: rows, queries: queries)
  }
}
