import CVector

extension VectorIndex {
  /// The k nearest rows, nearest first, equal distances in the order of their slots. As many as
  /// min(k, rows that pass `filter`) come back, always: where the graph finds fewer, every row is
  /// looked at.
  /// - Parameters:
  ///   - k: 1…1,048,576.
  ///   - ef: candidates kept while walking, at least k: more is slower and finds more.
  ///   - filter: which ids may be returned.
  public func search(
    _ query: [Float], k: Int, ef: Int = 64, filter: SearchFilter? = nil
  ) throws(VectorIndexError) -> [Neighbour] {
    try search(query.span, k: k, ef: ef, filter: filter)
  }

  /// `search` of a query in borrowed memory.
  public func search(
    _ query: Span<Float>, k: Int, ef: Int = 64, filter: SearchFilter? = nil
  ) throws(VectorIndexError) -> [Neighbour] {
    try searchCounting(query, k: k, ef: ef, filter: filter).neighbours
  }

  /// `search` for as many rows as `results` has room for, at least one, without allocating.
  /// - Returns: how many were found, nearest first from the beginning of `results`.
  public func search(
    _ query: Span<Float>, ef: Int = 64, filter: SearchFilter? = nil,
    into results: inout MutableSpan<Neighbour>
  ) throws(VectorIndexError) -> Int {
    let k = results.count
    try Self.check("k", k, in: Self.kRange)
    try Self.check("ef", ef, in: Self.efRange)
    let reader = cvx_reader_enter(readers)!
    defer { cvx_reader_leave(reader) }
    let found = try find(query, k: k, ef: ef, filter: filter, reader: reader)
    for index in 0..<found {
      let answer = reader.pointee.scratch.pointee.results[index]
      results[index] = Neighbour(id: answer.id, distance: answer.distance)
    }
    return found
  }

  /// `search`, with the number of distances it computed.
  package func searchCounting<Scalar: VectorScalar>(
    _ query: Span<Scalar>, k: Int, ef: Int, filter: SearchFilter? = nil
  ) throws(VectorIndexError) -> (neighbours: [Neighbour], evaluations: Int) {
    try Self.check("k", k, in: Self.kRange)
    try Self.check("ef", ef, in: Self.efRange)
    let reader = cvx_reader_enter(readers)!
    defer { cvx_reader_leave(reader) }
    let scratch = reader.pointee.scratch!
    let before = scratch.pointee.evaluations
    let found = try find(query, k: k, ef: ef, filter: filter, reader: reader)
    let neighbours = [Neighbour](unsafeUninitializedCapacity: found) { buffer, count in
      for index in 0..<found {
        let answer = scratch.pointee.results[index]
        (buffer.baseAddress! + index).initialize(
          to: Neighbour(id: answer.id, distance: answer.distance))
      }
      count = found
    }
    return (neighbours, Int(scratch.pointee.evaluations - before))
  }

  /// Leaves the answers in the reader's scratch memory; returns how many there are.
  @inline(__always)
  private func find<Scalar: VectorScalar>(
    _ query: Span<Scalar>, k: Int, ef: Int, filter: SearchFilter?,
    reader: UnsafeMutablePointer<cvx_reader>
  ) throws(VectorIndexError) -> Int {
    let found = try findOnce(query, k: k, ef: ef, filter: filter, reader: reader)
    return found.isEnough
      ? found.count : try findAll(query, k: k, filter: filter, reader: reader)
  }

  /// How often every row is looked at again; whoever removes rows faster than that has none left.
  private static let scansMax = 8

  /// Rows that others removed between a walk and its re-ranking left too few answers: every row is
  /// looked at, again where it happens again.
  @inline(never)
  private func findAll<Scalar: VectorScalar>(
    _ query: Span<Scalar>, k: Int, filter: SearchFilter?,
    reader: UnsafeMutablePointer<cvx_reader>
  ) throws(VectorIndexError) -> Int {
    var found = (count: 0, isEnough: false)
    for _ in 0..<Self.scansMax where !found.isEnough {
      found = try findOnce(query, k: k, ef: Int(UInt32.max), filter: filter, reader: reader)
    }
    return found.count
  }

  @inline(__always)
  private func findOnce<Scalar: VectorScalar>(
    _ query: Span<Scalar>, k: Int, ef: Int, filter: SearchFilter?,
    reader: UnsafeMutablePointer<cvx_reader>
  ) throws(VectorIndexError) -> (count: Int, isEnough: Bool) {
    let scratch = reader.pointee.scratch!
    try prepare(query, into: scratch.pointee.query_exact)
    let view = cvx_current(current)!
    let count = cvx_count(view)
    guard count > 0 else { return (0, true) }
    let wanted = UInt32(min(k, Int(count)))
    var allow: UnsafeMutablePointer<UInt64>?
    if let filter {
      allow = cvx_reserve_allow(scratch, count)
      filter.mark(view, count, allow!)
    }
    let found = cvx_find(
      view, scratch, wanted, UInt32(min(max(ef, k), Int(UInt32.max))), allow, count)
    return (Int(found), found == wanted || found >= cvx_passing(view, count, allow))
  }

  @inline(__always)
  private func prepare<Scalar: VectorScalar>(
    _ query: Span<Scalar>, into out: UnsafeMutablePointer<Float>
  ) throws(VectorIndexError) {
    let dimension = options.dimension
    guard query.count == dimension else {
      throw .dimensionMismatch(expected: dimension, actual: query.count)
    }
    if Scalar.self == Float.self {
      let status = query.withUnsafeBytes {
        cvx_check(
          $0.baseAddress!.assumingMemoryBound(to: Float.self), dimension,
          Int32(options.metric.rawValue), out)
      }
      return try PreparedVector.throwIfBad(status, query)
    }
    for index in 0..<dimension { out[index] = query[index].floatValue }
    try PreparedVector.throwIfBad(
      cvx_check(out, dimension, Int32(options.metric.rawValue), out), query)
  }
}

extension SearchFilter {
  /// Sets the bits of the slots whose ids pass.
  func mark(
    _ view: UnsafeMutablePointer<cvx_view>, _ count: UInt32, _ allow: UnsafeMutablePointer<UInt64>
  ) {
    switch kind {
    case .bitmap(let ids):
      ids.words.withUnsafeBufferPointer { words in
        var none: UInt64 = 0
        withUnsafePointer(to: &none) {
          cvx_allow_ids(view, count, words.baseAddress ?? $0, words.count, allow)
        }
      }
    case .predicate(let passes):
      Self.mark(view, count, allow, passes)
    case .tenant(let tenant, filter: .bitmap(let ids)?):
      ids.words.withUnsafeBufferPointer { words in
        var none: UInt64 = 0
        withUnsafePointer(to: &none) {
          cvx_allow_range(
            view, count, tenant.first, TenantNumber.span, words.baseAddress ?? $0, words.count,
            allow)
        }
      }
    case .tenant(let tenant, nil):
      cvx_allow_range(view, count, tenant.first, TenantNumber.span, nil, 0, allow)
    case .tenant:
      Self.mark(view, count, allow, kind.admits)
    }
  }

  private static func mark(
    _ view: UnsafeMutablePointer<cvx_view>, _ count: UInt32,
    _ allow: UnsafeMutablePointer<UInt64>, _ passes: (UInt64) -> Bool
  ) {
    for word in 0..<(Int(count) + 63) / 64 {
      var bits: UInt64 = 0
      let first = word * 64
      for bit in 0..<min(64, Int(count) - first) {
        let slot = UInt32(first + bit)
        if cvx_live(view, slot) != 0, passes(view.pointee.ids[first + bit]) {
          bits |= 1 << UInt64(bit)
        }
      }
      allow[word] = bits
    }
  }
}
