import Base
import Glibc
import Testing

/// A small vector data set in a folder of its own, and brute force over what is in it.
final class DatasetFolder {
  let path: String
  private let metric: String
  private let rows: [[Float]]
  private let queries: [[Float]]

  init(metric: String, type: String, rows count: Int, dimension: Int, queries queryCount: Int = 20)
    throws
  {
    var template = Array("/tmp/kfm-dataset-XXXXXX".utf8CString)
    let made = template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!) }
    path = String(cString: try #require(made))
    self.metric = metric
    let random = SeededRandom(seed: 7)
    // Whole numbers of a few bits: every type holds them exactly.
    func vectors(_ count: Int) -> [[Float]] {
      (0..<count).map { _ in
        (0..<dimension).map { _ in Float(Int(random.next() % 201)) - 100 }
      }
    }
    rows = vectors(count)
    queries = vectors(queryCount)
    try write(Self.encode(rows, type), "base.bin")
    try write(Self.encode(queries, type), "queries.bin")
    let meta =
      "{\"name\":\"test\",\"dims\":\(dimension),\"count\":\(count),\"queries\":\(queryCount),"
      + "\"metric\":\"\(metric)\",\"dtype\":\"\(type)\",\"endian\":\"little\","
      + "\"base\":\"base.bin\",\"query\":\"queries.bin\"}"
    try write(Array(meta.utf8), "meta.json")
  }

  deinit {
    for name in names { unlink("\(path)/\(name)") }
    rmdir(path)
  }

  private var names: [String] = []

  func write(_ elements: [some BitwiseCopyable], _ name: String) throws {
    let file = try #require(fopen("\(path)/\(name)", "w"))
    defer { fclose(file) }
    names.append(name)
    let bytes = elements.withUnsafeBytes { fwrite($0.baseAddress, 1, $0.count, file) }
    #expect(bytes == elements.count * MemoryLayout.stride(ofValue: elements[0]))
  }

  func editMeta(_ old: String, _ new: String) throws {
    let text = String(decoding: try bytes("meta.json"), as: UTF8.self)
    #expect(text.contains(old))
    try write(
      Array(
        text.split(separator: old, omittingEmptySubsequences: false)
          .joined(separator: new).utf8), "meta.json")
  }

  func int32(_ name: String) throws -> [Int32] {
    try bytes(name).withUnsafeBytes { Array($0.bindMemory(to: Int32.self)) }
  }

  func float32(_ name: String) throws -> [Float] {
    try bytes(name).withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
  }

  /// Mean share of the true k nearest among `ids`, over as many queries as there are answers.
  func recall(of ids: [Int32], k: Int) throws -> Double {
    var shared = 0
    for query in 0..<ids.count / k {
      let truth = Set(nearest(queries[query], k))
      shared += ids[query * k..<(query + 1) * k].count { truth.contains(Int($0)) }
    }
    return Double(shared) / Double(ids.count)
  }

  private func nearest(_ query: [Float], _ k: Int) -> [Int] {
    let scored = rows.indices.map { (distance(query, rows[$0]), $0) }
    return scored.sorted { $0 < $1 }.prefix(k).map(\.1)
  }

  private func distance(_ a: [Float], _ b: [Float]) -> Double {
    let pairs = zip(a, b).map { (Double($0), Double($1)) }
    let dot = pairs.reduce(0) { $0 + $1.0 * $1.1 }
    switch metric {
    case "l2": return pairs.reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    case "ip": return 1 - dot
    default:
      let norms = pairs.reduce((0.0, 0.0)) { ($0.0 + $1.0 * $1.0, $0.1 + $1.1 * $1.1) }
      return 1 - dot / (norms.0 * norms.1).squareRoot()
    }
  }

  /// A file that somebody else made is the folder's to remove.
  func forget(_ name: String) throws {
    #expect(unlink("\(path)/\(name)") == 0)
  }

  func raw(_ name: String) throws -> [UInt8] { try bytes(name) }

  private func bytes(_ name: String) throws -> [UInt8] {
    let file = try #require(fopen("\(path)/\(name)", "r"))
    defer { fclose(file) }
    if !names.contains(name) { names.append(name) }
    var all: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = fread(&piece, 1, piece.count, file)
      guard count > 0 else { return all }
      all += piece[..<count]
    }
  }

  private static func encode(_ rows: [[Float]], _ type: String) -> [UInt8] {
    let flat = rows.flatMap { $0 }
    switch type {
    case "float16": return flat.flatMap { withUnsafeBytes(of: Float16($0).bitPattern, Array.init) }
    case "int8": return flat.map { UInt8(bitPattern: Int8($0)) }
    default: return flat.flatMap { withUnsafeBytes(of: $0.bitPattern, Array.init) }
    }
  }
}
