import VectorIndex

/// The index that the benchmarks drive: rows of a data set under their numbers, with the library's
/// default configuration.
struct BenchedIndex: Sendable {
  let index: VectorIndex

  /// Builds the index of the first `rows` rows.
  init(
    building data: RowFile, rows: Int, metric: Metric, m: Int, efConstruction: Int, threads: Int
  ) throws {
    index = try VectorIndex(
      options: .init(
        dimension: data.dimension, metric: metric, m: m, efConstruction: efConstruction))
    _ = try add(data, 0..<rows)
  }

  init(loading path: String, mapped: Bool) throws(VectorIndexError) {
    index = try VectorIndex.load(from: path)
  }

  var count: Int { index.count }

  /// Puts the rows `range` of the data in, as they come; those whose number is there stay.
  /// Returns how many were added.
  private func add(_ rows: RowFile, _ range: Range<Int>) throws -> Int {
    var added = 0
    var vector = [Float](repeating: 0, count: rows.dimension)
    try rows.forEach(range) { (first, floats) throws(DatasetError) in
      for row in 0..<(floats.count / rows.dimension) {
        for column in 0..<rows.dimension { vector[column] = floats[row * rows.dimension + column] }
        do throws(VectorIndexError) {
          try index.add(vector, id: UInt64(first + row))
          added += 1
        } catch .duplicateID {
          continue
        } catch {
          throw DatasetError("row \(first + row): \(error)")
        }
      }
    }
    return added
  }

  /// The same for single rows, in the order given.
  func add(_ rows: RowFile, ids: [Int32], threads: Int) throws -> Int {
    var added = 0
    var at = 0
    while at < ids.count {
      // Neighbouring rows are read together.
      var end = at + 1
      while end < ids.count, ids[end] == ids[end - 1] + 1 { end += 1 }
      added += try add(rows, Int(ids[at])..<Int(ids[end - 1]) + 1)
      at = end
    }
    return added
  }

  func remove(_ ids: [Int32]) -> Int {
    var removed = 0
    for id in ids where id >= 0 && index.remove(id: UInt64(id)) { removed += 1 }
    return removed
  }
}
