import CVector

/// Which rows a search may return.
public struct SearchFilter {
  enum Kind {
    case predicate((UInt64) -> Bool)
    case bitmap(IDBitmap)
    /// The rows of one tenant, and of those what `filter`, which knows them by their own ids, lets
    /// pass.
    indirect case tenant(TenantNumber, filter: Kind?)
  }

  let kind: Kind

  /// Rows whose id `passes`. It is called on the searching thread, at most once a row, and must
  /// not change the index. A bitmap is the quicker filter, since it can be counted.
  public static func matching(_ passes: @escaping (UInt64) -> Bool) -> SearchFilter {
    SearchFilter(kind: .predicate(passes))
  }

  /// Rows whose ids are in `ids`.
  public static func allowing(_ ids: IDBitmap) -> SearchFilter {
    SearchFilter(kind: .bitmap(ids))
  }

  /// Whether the row of `id` may be returned.
  func admits(_ id: UInt64) -> Bool {
    kind.admits(id)
  }
}

extension SearchFilter.Kind {
  func admits(_ id: UInt64) -> Bool {
    switch self {
    case .predicate(let passes): passes(id)
    case .bitmap(let ids): ids.contains(id)
    case .tenant(let tenant, let filter):
      tenant.owns(id) && (filter?.admits(tenant.own(id)) ?? true)
    }
  }
}

/// A set of ids below a bound, one bit each: what a filter by metadata compiles to.
public struct IDBitmap: Sendable, Hashable {
  /// Bit `id & 63` of word `id >> 6`.
  private(set) var words: [UInt64]

  /// An empty set that has room for the ids 0..<`bound`; ids beyond are never in it.
  public init(bound: Int) { words = [UInt64](repeating: 0, count: (max(bound, 0) + 63) / 64) }

  /// The ids whose byte is not 0.
  public init(bytes: Span<UInt8>) {
    let needed = (bytes.count + 63) / 64
    words = bytes.withUnsafeBufferPointer { bytes in
      [UInt64](unsafeUninitializedCapacity: needed) { words, count in
        if needed > 0 { cvx_pack_bytes(bytes.baseAddress!, bytes.count, words.baseAddress!) }
        count = needed
      }
    }
  }

  public init(_ ids: some Sequence<UInt64>, bound: Int) {
    self.init(bound: bound)
    for id in ids { insert(id) }
  }

  /// Ids in the set.
  public var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }

  public func contains(_ id: UInt64) -> Bool {
    let word = id >> 6
    return word < UInt64(words.count) && words[Int(word)] >> (id & 63) & 1 == 1
  }

  /// Whether `id` is below the bound; it is in the set then.
  @discardableResult
  public mutating func insert(_ id: UInt64) -> Bool {
    guard id >> 6 < UInt64(words.count) else { return false }
    words[Int(id >> 6)] |= 1 << (id & 63)
    return true
  }

  public mutating func remove(_ id: UInt64) {
    guard id >> 6 < UInt64(words.count) else { return }
    words[Int(id >> 6)] &= ~(1 << (id & 63))
  }

  public mutating func formUnion(_ other: IDBitmap) { combine(other, |) }
  public mutating func formIntersection(_ other: IDBitmap) { combine(other, &) }

  private mutating func combine(_ other: IDBitmap, _ operation: (UInt64, UInt64) -> UInt64) {
    for index in words.indices {
      words[index] = operation(words[index], index < other.words.count ? other.words[index] : 0)
    }
  }
}
