import VectorIndex

/// The index that the benchmarks drive: rows of a data set under their numbers, with the library's
/// default configuration.
struct BenchedIndex: Sendable {
  let index: VectorIndex

  /// Builds the index of the first `rows` rows.
  init(
    building data: RowFile, rows: Int, options: VectorIndex.Options, threads: Int
  ) throws {
    index = try VectorIndex(options: options)
    let floats = try data.floats(0..<rows)
    let ids = (0..<rows).map { UInt64($0) }
    try index.add(rows: floats.span, ids: ids.span, threads: threads)
  }

  init(loading path: String, mapped: Bool) throws(VectorIndexError) {
    index = try mapped ? VectorIndex.open(mapping: path) : VectorIndex.load(from: path)
  }

  var count: Int { index.count }

  /// Puts the rows `ids` of the data in; those whose number is there stay. Returns how many were
  /// added.
  func add(_ rows: RowFile, ids: [Int32], threads: Int) throws -> Int {
    var added = 0
    for first in stride(from: 0, to: ids.count, by: Self.rowsAtOnce) {
      let part = ids[first..<min(first + Self.rowsAtOnce, ids.count)]
      added += try addPart(rows, ids: Array(part), threads: threads)
    }
    return added
  }

  /// Rows that are read before they are added: all at once might take more memory than the index.
  static let rowsAtOnce = 8_192

  private func addPart(_ rows: RowFile, ids: [Int32], threads: Int) throws -> Int {
    let floats = try gather(rows, ids)
    let wide = ids.map { UInt64($0) }
    do throws(VectorIndexError) {
      try index.add(rows: floats.span, ids: wide.span, threads: threads)
      return ids.count
    } catch {
      guard case .duplicateID = error else { throw error }
      return try addMissing(floats, wide, rows.dimension)
    }
  }

  private func addMissing(_ floats: [Float], _ ids: [UInt64], _ dimension: Int)
    throws(VectorIndexError) -> Int
  {
    var added = 0
    for (row, id) in ids.enumerated() {
      do throws(VectorIndexError) {
        try index.add(floats.span.extracting(row * dimension..<(row + 1) * dimension), id: id)
        added += 1
      } catch {
        guard case .duplicateID = error else { throw error }
      }
    }
    return added
  }

  /// The rows one after the other; neighbouring ones are read together.
  private func gather(_ rows: RowFile, _ ids: [Int32]) throws(DatasetError) -> [Float] {
    var floats: [Float] = []
    floats.reserveCapacity(ids.count * rows.dimension)
    var at = 0
    while at < ids.count {
      var end = at + 1
      while end < ids.count, ids[end] == ids[end - 1] + 1 { end += 1 }
      floats += try rows.floats(Int(ids[at])..<Int(ids[end - 1]) + 1)
      at = end
    }
    return floats
  }

  func remove(_ ids: [Int32]) -> Int {
    var removed = 0
    for id in ids where id >= 0 && index.remove(id: UInt64(id)) { removed += 1 }
    return removed
  }
}
