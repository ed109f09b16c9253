import CVector

extension VectorIndex {
  /// Rows from which their mean is taken, at most.
  private static let sampleMax = 4096
  /// Rows after which an index that began empty takes their mean.
  private static let centredFrom = 1024

  /// - Throws: `.duplicateID`, `.full`, or what is wrong with the vector; nothing has changed then.
  public func add(_ vector: [Float], id: UInt64) throws(VectorIndexError) {
    try insert(vector.span, id: id, mayReplace: false)
  }

  /// `add` of components in borrowed memory.
  public func add(_ vector: Span<Float>, id: UInt64) throws(VectorIndexError) {
    try insert(vector, id: id, mayReplace: false)
  }

  /// Adds, or replaces the vector of `id`; searches see the old or the new one, never both.
  public func upsert(_ vector: [Float], id: UInt64) throws(VectorIndexError) {
    try insert(vector.span, id: id, mayReplace: true)
  }

  /// `upsert` of components in borrowed memory.
  public func upsert(_ vector: Span<Float>, id: UInt64) throws(VectorIndexError) {
    try insert(vector, id: id, mayReplace: true)
  }

  /// Takes a row out of every later answer. Whether the id was there.
  @discardableResult
  public func remove(id: UInt64) -> Bool {
    // A mapped file that turns out to be damaged cannot be changed; it is as it was then.
    do throws(VectorIndexError) { try materialise() } catch { return false }
    return change { store, scratches in
      guard store.remove(id) else { return false }
      store.tidy(readers: readers, scratch: scratches[0], isAddition: false)
      return true
    }
  }

  /// Adds many rows, `dimension` components each one after the other, row i under `ids[i]`, on
  /// `threads` threads. The same rows give the same graph whatever the number of threads.
  /// - Throws: what is wrong with the first bad row, `.duplicateID`, `.countMismatch`; nothing has
  ///   changed then.
  public func add(
    rows: Span<Float>, ids: Span<UInt64>, threads: Int = 1
  ) throws(VectorIndexError) {
    try add(rows: rows, ids: ids, threads: threads, control: .none)
  }

  func add<Scalar: VectorScalar>(
    rows: Span<Scalar>, ids: Span<UInt64>, threads: Int, control: WorkControl
  ) throws(VectorIndexError) {
    try Self.check("threads", threads, in: Self.threadsRange)
    guard rows.count == ids.count * options.dimension else {
      throw .countMismatch(
        name: "components of \(ids.count) rows", expected: ids.count * options.dimension,
        actual: rows.count)
    }
    try checkRows(rows)
    try materialise()
    try change(threads: threads) { (store, scratches) throws(VectorIndexError) in
      try checkNew(ids, in: store)
      let store = try withRoom(for: ids.count, in: store)
      if store.count == 0, ids.count >= Self.centredFrom { centre(store, rows) }
      try insertAll(store, rows, ids, scratches, control)
    }
  }

  /// Threads of a build or of a batch of searches.
  public static let threadsRange = 1...256

  // MARK: One row

  func insert<Scalar: VectorScalar>(
    _ vector: Span<Scalar>, id: UInt64, mayReplace: Bool
  ) throws(VectorIndexError) {
    let prepared = try PreparedVector(vector, dimension: options.dimension, metric: options.metric)
    try materialise()
    try change { (store, scratches) throws(VectorIndexError) in
      guard mayReplace || store.slot(of: id) == nil else { throw .duplicateID(id) }
      let store = try withRoom(for: 1, in: store)
      prepared.components.withUnsafeBufferPointer { row in
        withUnsafePointer(to: id) {
          store.insert(row.baseAddress!, ids: $0, count: 1, scratches: [scratches[0]])
        }
      }
      store.tidy(readers: readers, scratch: scratches[0], isAddition: true)
      if !store.isCentred, store.count >= Self.centredFrom { replaceStore(by: store.recentred()) }
    }
  }

  /// The store to add to: another one where this one is full, or where all it holds was removed
  /// and no row is left to connect a new one to.
  private func withRoom(for rows: Int, in store: GraphStore) throws(VectorIndexError) -> GraphStore
  {
    if store.count > 0, store.liveCount == 0 {
      let fresh = GraphStore(options: options, rows: rows)
      replaceStore(by: fresh)
      return fresh
    }
    guard store.room < rows else { return store }
    guard store.count + rows <= Self.rowsMax else { throw .full }
    let roomier = store.copied(rows: store.count + rows)
    replaceStore(by: roomier)
    return roomier
  }

  // MARK: Many rows

  private func checkRows<Scalar: VectorScalar>(_ rows: Span<Scalar>) throws(VectorIndexError) {
    let dimension = options.dimension
    var buffer = [Float](repeating: 0, count: dimension)
    for start in stride(from: 0, to: rows.count, by: dimension) {
      try PreparedVector.prepare(
        rows.extracting(start..<start + dimension), metric: options.metric, into: &buffer)
    }
  }

  private func checkNew(_ ids: Span<UInt64>, in store: GraphStore) throws(VectorIndexError) {
    var sorted: [UInt64] = []
    sorted.reserveCapacity(ids.count)
    for index in ids.indices {
      guard store.slot(of: ids[index]) == nil else { throw .duplicateID(ids[index]) }
      sorted.append(ids[index])
    }
    sorted.sort()
    for index in sorted.indices.dropFirst() where sorted[index] == sorted[index - 1] {
      throw .duplicateID(sorted[index])
    }
  }

  /// Takes the mean of a sample spread over all rows.
  private func centre<Scalar: VectorScalar>(_ store: GraphStore, _ rows: Span<Scalar>) {
    let dimension = options.dimension
    let count = rows.count / dimension
    let step = max(1, count / Self.sampleMax)
    var mean = RunningMean(dimension: dimension)
    var buffer = [Float](repeating: 0, count: dimension)
    for row in stride(from: 0, to: count, by: step) {
      // Checked before: cannot fail.
      try? PreparedVector.prepare(
        rows.extracting(row * dimension..<(row + 1) * dimension), metric: options.metric,
        into: &buffer)
      buffer.withUnsafeMutableBufferPointer { cvx_rotate($0.baseAddress!, dimension) }
      mean.add(buffer)
    }
    store.setMean(mean.values)
  }

  private func insertAll<Scalar: VectorScalar>(
    _ store: GraphStore, _ rows: Span<Scalar>, _ ids: Span<UInt64>, _ scratches: [InsertScratch],
    _ control: WorkControl
  ) throws(VectorIndexError) {
    let dimension = options.dimension
    var store = store
    var done = 0
    while done < ids.count {
      do throws(VectorIndexError) { try control.step(done, of: ids.count) } catch {
        for index in 0..<done { _ = store.remove(ids[index]) }
        throw error
      }
      store.sweepForReuse(rows: ids.count - done, readers: readers, scratch: scratches[0])
      let size = store.groupSize(ids.count - done)
      var group = [Float](repeating: 0, count: size * dimension)
      var row = [Float](repeating: 0, count: dimension)
      for index in 0..<size {
        let start = (done + index) * dimension
        try? PreparedVector.prepare(
          rows.extracting(start..<start + dimension), metric: options.metric, into: &row)
        group.replaceSubrange(index * dimension..<(index + 1) * dimension, with: row)
      }
      let groupIDs = (done..<done + size).map { ids[$0] }
      store.insert(group, ids: groupIDs, count: size, scratches: scratches)
      store.tidy(readers: readers, scratch: scratches[0], isAddition: true)
      if !store.isCentred, store.count >= Self.centredFrom {
        store = store.recentred()
        replaceStore(by: store)
      }
      done += size
    }
    control.progress?(1)
  }

  // MARK: Compaction

  /// Builds the graph anew from the rows that are left and gives back the memory of the others.
  /// Takes as long as adding those rows; searches go on.
  public func compact() {
    do { try compact(threads: 1, control: .none) } catch {}
  }

  func compact(threads: Int, control: WorkControl) throws(VectorIndexError) {
    try Self.check("threads", threads, in: Self.threadsRange)
    try materialise()
    try change(threads: threads) { (store, scratches) throws(VectorIndexError) in
      guard store.liveCount < store.count else { return }
      replaceStore(by: try store.compacted(scratches: scratches, control: control))
    }
  }
}
