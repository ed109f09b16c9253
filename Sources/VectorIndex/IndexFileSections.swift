/// The sections of a vector index's file.
enum IndexSection: UInt32, CaseIterable {
  /// `IndexFileOptions`.
  case options = 1
  /// `IndexAttributes`.
  case attributes = 2
  /// u64 a node.
  case ids = 3
  /// One byte a node: its layer, `tombstoneBit` for a removed row, and `freeBit` where no edge
  /// leads to it any more.
  case shape = 4
  /// 2·m words a node.
  case edges = 5
  /// m words a node and layer above 0, in the order of the nodes.
  case upperEdges = 6
  /// One byte a component, each row padded to 64 bytes: `cvx_encode`.
  case codes = 8
  /// One more byte a component; empty where the storage is compact.
  case residuals = 9
  /// Scale and bias of each row, Float32.
  case factors = 10
  /// The mean that the codes are around, Float32.
  case mean = 11

  static let tombstoneBit: UInt8 = 0x80
  static let freeBit: UInt8 = 0x40
  static let levelBits: UInt8 = 0x0F

  var name: String { "\(self)" }
}

/// What an index was made with, and how many nodes it has: 48 bytes, little-endian.
struct IndexFileOptions: Equatable {
  static let bytes = 48

  var options: VectorIndex.Options
  var nodes: Int
  var entry: UInt32?
  var isCentred: Bool

  func encode() -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Self.bytes)
    bytes.withUnsafeMutableBytes { out in
      let words: [UInt32] = [
        UInt32(options.dimension), options.metric.rawValue, UInt32(options.m),
        UInt32(options.efConstruction), entry ?? GraphStore.noEdge,
      ]
      for (index, word) in words.enumerated() {
        out.storeBytes(of: word.littleEndian, toByteOffset: index * 4, as: UInt32.self)
      }
      out.storeBytes(of: options.seed.littleEndian, toByteOffset: 24, as: UInt64.self)
      out.storeBytes(of: UInt64(nodes).littleEndian, toByteOffset: 32, as: UInt64.self)
      out.storeBytes(of: options.storage.rawValue.littleEndian, toByteOffset: 40, as: UInt32.self)
      out.storeBytes(of: UInt32(isCentred ? 1 : 0).littleEndian, toByteOffset: 44, as: UInt32.self)
    }
    return bytes
  }

  init(options: VectorIndex.Options, nodes: Int, entry: UInt32?, isCentred: Bool) {
    self.options = options
    self.nodes = nodes
    self.entry = entry
    self.isCentred = isCentred
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
    guard let storage = VectorIndex.Storage(rawValue: word(40)), word(44) <= 1 else {
      throw .inconsistent("storage \(word(40)) is unknown")
    }
    isCentred = word(44) == 1
    options = VectorIndex.Options(
      dimension: Int(word(0)), metric: metric, m: Int(word(8)), efConstruction: Int(word(12)),
      seed: wide(24), storage: storage)
    do throws(VectorIndexError) { try VectorIndex.check(options) } catch {
      throw .inconsistent("\(error)")
    }
    guard wide(32) <= UInt64(VectorIndex.rowsMax) else { throw .inconsistent("\(wide(32)) nodes") }
    nodes = Int(wide(32))
    entry = word(16) == GraphStore.noEdge ? nil : word(16)
  }
}
