/// A vector index that several tenants share and in which none can see another: rows are added,
/// found and removed through a `TenantIndex` alone, which is made for one tenant. There is no search
/// over all of them that somebody could call by mistake, and a file of this kind is refused by
/// `VectorIndex.load`.
///
/// ```swift
/// let shared = try TenantedIndex(options: .init(dimension: 256, metric: .cosine))
/// let acme = try shared.tenant(7)
/// try acme.add(embedding, id: 1)
/// let nearest = try acme.search(query, k: 10)  // rows of tenant 7
/// ```
///
/// One index for many small tenants saves the memory and the files of one for each. A search costs
/// a look at every row's id (about 0.1 ms a million) besides the walk or scan over the tenant's own
/// rows, which gives min(k, own rows) answers, always; a tenant with most of the rows is better off
/// with an index of its own.
public final class TenantedIndex: Sendable {
  /// Numbers of tenants: 24 bits.
  public static let tenantRange = 0...(1 << 24) - 1
  /// Ids of one tenant's rows: 40 bits.
  public static let idRange = 0...(1 << 40) - 1

  private let index: VectorIndex
  private let journaled: JournaledIndex?

  /// A new index in memory.
  /// - Throws: what `VectorIndex.init` throws.
  public convenience init(
    options: VectorIndex.Options, attributes: IndexAttributes = IndexAttributes()
  ) throws(VectorIndexError) {
    self.init(try VectorIndex(options: options, attributes: attributes.tenanted))
  }

  /// Opens what is at `path`, or makes it, and keeps every change as `JournaledIndex` does.
  /// - Throws: what `JournaledIndex.init` throws, and `.file(.notTenanted)`.
  public convenience init(
    opening path: String, options: VectorIndex.Options,
    attributes: IndexAttributes = IndexAttributes()
  ) throws(VectorIndexError) {
    let journaled = try JournaledIndex(
      unscoped: path, options: options, attributes: attributes.tenanted)
    self.init(try Self.checked(journaled.index), journaled)
  }

  /// Reads what `save` wrote, as `VectorIndex.load` does.
  /// - Throws: `.file`, with what is wrong; `.file(.notTenanted)` for rows without tenants.
  public static func load(from path: String) throws(VectorIndexError) -> TenantedIndex {
    TenantedIndex(try checked(VectorIndex.loadUnscoped(from: path)))
  }

  /// Maps what `save` wrote, as `VectorIndex.open(mapping:)` does.
  /// - Throws: `.file`, with what is wrong; `.file(.notTenanted)` for rows without tenants.
  public static func open(mapping path: String) throws(VectorIndexError) -> TenantedIndex {
    TenantedIndex(try checked(VectorIndex.openUnscoped(mapping: path)))
  }

  private init(_ index: VectorIndex, _ journaled: JournaledIndex? = nil) {
    self.index = index
    self.journaled = journaled
  }

  private static func checked(_ index: VectorIndex) throws(VectorIndexError) -> VectorIndex {
    guard index.attributes.isTenanted else { throw .file(.notTenanted) }
    return index
  }

  /// The part of the index that belongs to one tenant. Who is handed it can reach nothing else.
  /// - Throws: `.parameterOutOfRange` for a number outside `tenantRange`.
  public func tenant(_ number: Int) throws(VectorIndexError) -> TenantIndex {
    try VectorIndex.check("tenant", number, in: Self.tenantRange)
    return TenantIndex(
      number: TenantNumber(UInt64(number)), index: index, journaled: journaled)
  }

  public var options: VectorIndex.Options { index.options }
  /// Where the vectors come from; saved with them.
  public var attributes: IndexAttributes { index.attributes.withoutTenants }

  // MARK: What concerns the whole

  /// Rows of all tenants.
  public var count: Int { index.count }

  /// Tenants that have rows, in order. Looks at every row.
  public var tenants: [Int] {
    Set(index.ids.map { $0 / TenantNumber.span }).sorted().map { Int($0) }
  }

  /// `VectorIndex.save`.
  public func save(to path: String) throws(VectorIndexError) { try index.save(to: path) }

  /// `VectorIndex.compact`.
  public func compact() { index.compact() }

  /// `JournaledIndex.flush`; nothing for an index without a journal.
  public func flush() throws(VectorIndexError) { try journaled?.flush() }

  /// `JournaledIndex.checkpoint`; nothing for an index without a journal.
  public func checkpoint() throws(VectorIndexError) { try journaled?.checkpoint() }
}

/// Which part of the 64 bits of an id says whose row it is: the upper 24.
struct TenantNumber: Sendable, Hashable {
  /// Ids of a tenant.
  static let span: UInt64 = 1 << 40

  let first: UInt64

  init(_ number: UInt64) { first = number * Self.span }

  func owns(_ id: UInt64) -> Bool { id &- first < Self.span }
  /// The tenant's own id of a row of its.
  func own(_ id: UInt64) -> UInt64 { id &- first }

  /// The index's id of a row of the tenant's.
  func shared(_ id: UInt64) throws(VectorIndexError) -> UInt64 {
    guard id < Self.span else {
      throw .parameterOutOfRange(
        name: "id", value: Int(clamping: id), range: TenantedIndex.idRange)
    }
    return first + id
  }
}

extension IndexAttributes {
  /// Says in a file that the ids of its rows begin with their tenant.
  private static let tenantsName = "kfm.tenants"

  var isTenanted: Bool { extra[Self.tenantsName] != nil }

  var tenanted: IndexAttributes {
    var attributes = self
    attributes.extra[Self.tenantsName] = "24 bits of 64"
    return attributes
  }

  var withoutTenants: IndexAttributes {
    var attributes = self
    attributes.extra[Self.tenantsName] = nil
    return attributes
  }
}
