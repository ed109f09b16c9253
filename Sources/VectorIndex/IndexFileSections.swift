/// The sections of a vector index's file.
enum IndexSection: UInt32, CaseIterable {
  /// `IndexFileOptions`.
  case options = 1
  /// `IndexAttributes`.
  case attributes = 2
  /// u64 a node.
  case ids = 3
  /// One byte a node: its layer, and `tombstoneBit`.
  case shape = 4
  /// 2·m words a node.
  case edges = 5
  /// m words a node and layer above 0, in the order of the nodes.
  case upperEdges = 6
  /// Float32, each row padded with zeros to 64 bytes.
  case rows = 7

  static let tombstoneBit: UInt8 = 0x80

  var name: String { "\(self)" }
}

/// What an index was made with, and how many nodes it has: 48 bytes, little-endian.
struct IndexFileOptions: Equatable {
  static let bytes = 48

  var options: VectorIndex.Options
  var nodes: Int
  var entry: UInt32?

  func encode() -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Self.bytes)
    bytes.withUnsafeMutableBytes { out in
      let words: [UInt32] = [
        UInt32(options.dimension), options.metric.rawValue, UInt32(options.m),
        UInt32(options.efConstruction), entry ?? HNSWGraph.noEdge,
      ]
      for (index, word) in words.enumerated() {
        out.storeBytes(of: word.littleEndian, toByteOffset: index * 4, as: UInt32.self)
      }
      out.storeBytes(of: options.seed.littleEndian, toByteOffset: 24, as: UInt64.self)
      out.storeBytes(of: UInt64(nodes).littleEndian, toByteOffset: 32, as: UInt64.self)
    }
    return bytes
  }

  init(options: VectorIndex.Options, nodes: Int, entry: UInt32?) {
    self.options = options
    self.nodes = nodes
    self.entry = entry
  }

  init(decoding bytes: [UInt8]) throws(IndexFileError) {
    guard bytes.count == Self.bytes else { throw .inconsistent("options of \(bytes.count) bytes") }
    func word(_ at: Int) -> UInt32 {
      bytes.withUnsafeBytes {
        UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: UInt32.self))
      }
    }
    func wide(_ at: Int) -> UInt64 { UInt64(word(at)) | UInt64(word(at + 4)) << 32 }
    guard let metric = Metric(rawValue: word(4)) else {
      throw .inconsistent("metric \(word(4)) is unknown")
    }
    options = VectorIndex.Options(
      dimension: Int(word(0)), metric: metric, m: Int(word(8)), efConstruction: Int(word(12)),
      seed: wide(24))
    do throws(VectorIndexError) { try VectorIndex.check(options) } catch {
      throw .inconsistent("\(error)")
    }
    guard wide(32) <= UInt64(VectorIndex.rowsMax) else { throw .inconsistent("\(wide(32)) nodes") }
    nodes = Int(wide(32))
    entry = word(16) == HNSWGraph.noEdge ? nil : word(16)
  }
}
