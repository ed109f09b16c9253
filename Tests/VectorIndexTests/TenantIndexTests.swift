import Base
import TestSupport
import Testing
import VectorIndex

// Contract: through a tenant's handle its rows alone are found, counted, named and changed, min(k,
// own rows) of them at every k and ef, whatever others add, replace or remove under the same ids
// and however near theirs lie; the same after a restart, mapped, and from a journal; a file of
// tenants' rows is opened in no other way, nor another's in this.
// Cannot disprove: what a process with the file in its hands can read of it.

@Suite struct TenantIndexTests {
  private let directory = TemporaryDirectory()
  private static let dimension = 8
  private static let options = VectorIndex.Options(dimension: dimension, metric: .l2)

  /// What each tenant should have: the judge.
  private typealias Shelf = [Int: [UInt64: [Float]]]

  private static func distance(_ a: [Float], _ b: [Float]) -> Float {
    zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
  }

  /// Every k from 1 to more than there are rows: exactly the tenant's rows, nearest first, under
  /// their own ids.
  private func check(
    _ shared: TenantedIndex, _ shelf: Shelf, _ random: SeededRandom, ks: [Int] = [1, 3, 10, 400]
  ) throws {
    for (number, rows) in shelf {
      let tenant = try shared.tenant(number)
      #expect(tenant.count == rows.count)
      #expect(Set(tenant.ids) == Set(rows.keys))
      let query = (0..<Self.dimension).map { _ in Float(random.unit() * 2 - 1) }
      for k in ks {
        let found = try tenant.search(query, k: k, ef: 400)
        #expect(found.count == min(k, rows.count), "tenant \(number), k \(k)")
        #expect(Set(found.map(\.id)).count == found.count)
        for neighbour in found {
          let row = try #require(rows[neighbour.id], "not a row of tenant \(number)")
          #expect(abs(Self.distance(row, query) - neighbour.distance) < 1e-3)
        }
      }
      for (id, row) in rows.prefix(3) {
        let kept = try #require(tenant.vector(for: id))
        #expect(Self.distance(kept, row) < 1e-4)
      }
    }
    #expect(shared.count == shelf.values.reduce(0) { $0 + $1.count })
    #expect(shared.tenants == shelf.filter { !$0.value.isEmpty }.keys.sorted())
  }

  /// Three tenants with three ids each: after every sequence of three changes, of all there are.
  @Test func everySequenceOfChanges() throws {
    let random = SeededRandom(seed: 31)
    enum Step: CaseIterable { case upsert, remove, removeAll }
    var changes: [(step: Step, tenant: Int, id: UInt64)] = []
    for step in Step.allCases {
      for tenant in 0..<2 {
        for id in UInt64(0)..<2 where step != .removeAll || id == 0 {
          changes.append((step, tenant, id))
        }
      }
    }
    for first in changes {
      for second in changes {
        for third in changes {
          let shared = try TenantedIndex(options: Self.options)
          var shelf: Shelf = [0: [:], 1: [:], 2: [:]]
          // A row of somebody else, who changes nothing.
          let other = [Float](repeating: 0.1, count: Self.dimension)
          try shared.tenant(2).add(other, id: 0)
          shelf[2]![0] = other
          for change in [first, second, third] {
            let tenant = try shared.tenant(change.tenant)
            switch change.step {
            case .upsert:
              let row = (0..<Self.dimension).map { _ in Float(random.unit()) }
              try tenant.upsert(row, id: change.id)
              shelf[change.tenant]![change.id] = row
            case .remove:
              let wasThere = shelf[change.tenant]!.removeValue(forKey: change.id) != nil
              #expect(try tenant.remove(id: change.id) == wasThere)
            case .removeAll:
              #expect(try tenant.removeAll() == shelf[change.tenant]!.count)
              shelf[change.tenant] = [:]
            }
          }
          try check(shared, shelf, random, ks: [1, 2, 3])
        }
      }
    }
  }

  /// Tenants whose rows lie on top of each other, of very different sizes, changed at random.
  @Test(arguments: [1, 2, 3]) func whateverOthersDo(seed: UInt64) throws {
    let random = SeededRandom(seed: 40 + seed)
    let shared = try TenantedIndex(options: Self.options)
    let numbers = [0, 1, 5, TenantedIndex.tenantRange.upperBound]
    var shelf: Shelf = Dictionary(uniqueKeysWithValues: numbers.map { ($0, [:]) })
    let centres = VectorSets.uniform(5, Self.dimension, seed: seed)
    for round in 0..<2_400 {
      // Most changes are of one tenant; the ids are the same few for all.
      let number = numbers[random.next(below: 10) < 7 ? 0 : Int(random.next(below: 4))]
      let tenant = try shared.tenant(number)
      let id =
        random.next(below: 50) == 0
        ? UInt64(TenantedIndex.idRange.upperBound) : random.next(below: number == 0 ? 500 : 40)
      if random.next(below: 4) == 0 {
        let wasThere = shelf[number]!.removeValue(forKey: id) != nil
        #expect(try tenant.remove(id: id) == wasThere)
      } else {
        let row = centres[Int(random.next(below: 5))].map { $0 + Float(random.unit() * 0.01) }
        try tenant.upsert(row, id: id)
        shelf[number]![id] = row
      }
      if round % 300 == 299 { try check(shared, shelf, random) }
    }
    shared.compact()
    try check(shared, shelf, random)
    try shared.save(to: directory.file("shared"))
    try check(TenantedIndex.load(from: directory.file("shared")), shelf, random)
    try check(TenantedIndex.open(mapping: directory.file("shared")), shelf, random)
  }

  @Test func aFilterSeesOwnIdsAndCannotWiden() throws {
    let random = SeededRandom(seed: 51)
    let shared = try TenantedIndex(options: Self.options)
    for number in 0..<3 {
      for id in UInt64(0)..<200 {
        let row = (0..<Self.dimension).map { _ in Float(random.unit()) }
        try shared.tenant(number).add(row, id: id)
      }
    }
    let tenant = try shared.tenant(1)
    let query = [Float](repeating: 0.5, count: Self.dimension)
    let bitmap = IDBitmap([3, 7, 199, 200, 900], bound: 1_000)
    let byBitmap = try tenant.search(query, k: 100, filter: .allowing(bitmap))
    #expect(Set(byBitmap.map(\.id)) == [3, 7, 199])
    let byPredicate = try tenant.search(query, k: 100, filter: .matching { $0 < 5 })
    #expect(Set(byPredicate.map(\.id)) == [0, 1, 2, 3, 4])
    // A predicate that lets everything pass is asked about no row of another's.
    var asked: [UInt64] = []
    let all = try tenant.search(
      query, k: 1_000,
      filter: .matching {
        asked.append($0); return true
      })
    #expect(all.count == 200)
    #expect(asked.count == 200 && asked.allSatisfy { $0 < 200 })
    var room = [Neighbour](repeating: Neighbour(id: 9, distance: 9), count: 500)
    var results = room.mutableSpan
    #expect(try tenant.search(query.span, into: &results) == 200)
    #expect(try tenant.search(query, k: 5, filter: .allowing(IDBitmap(bound: 0))).isEmpty)
  }

  @Test func numbersOutsideTheirRangeReachNobody() throws {
    let shared = try TenantedIndex(options: Self.options)
    let row = [Float](repeating: 1, count: Self.dimension)
    try shared.tenant(1).add(row, id: 0)
    let tenant = try shared.tenant(0)
    // The id that would be tenant 1's row 0.
    let beyond = UInt64(TenantedIndex.idRange.upperBound) + 1
    for id in [beyond, .max] {
      #expect(throws: VectorIndexError.self) { try tenant.add(row, id: id) }
      #expect(throws: VectorIndexError.self) { try tenant.upsert(row, id: id) }
      #expect(try tenant.remove(id: id) == false)
      #expect(tenant.vector(for: id) == nil)
    }
    for number in [-1, TenantedIndex.tenantRange.upperBound + 1] {
      #expect(throws: VectorIndexError.self) { try shared.tenant(number) }
    }
    #expect(try tenant.search(row, k: 10).isEmpty)
    #expect(shared.count == 1)
    try tenant.add(row, id: 5)
    #expect(throws: VectorIndexError.duplicateID(5)) { try tenant.add(row, id: 5) }
  }

  @Test func aJournalKeepsThemApart() throws {
    let random = SeededRandom(seed: 61)
    let path = directory.file("journaled")
    var shelf: Shelf = [3: [:], 4: [:]]
    for _ in 0..<3 {
      let shared = try TenantedIndex(opening: path, options: Self.options)
      try check(shared, shelf, random)
      for number in [3, 4] {
        for id in UInt64(0)..<20 where random.next(below: 2) == 0 {
          let row = (0..<Self.dimension).map { _ in Float(random.unit()) }
          try shared.tenant(number).upsert(row, id: id)
          shelf[number]![id] = row
        }
        let gone = random.next(below: 20)
        _ = try shared.tenant(number).remove(id: gone)
        shelf[number]![gone] = nil
      }
      try shared.flush()
      if random.next(below: 2) == 0 { try shared.checkpoint() }
    }
    #expect(throws: VectorIndexError.file(.tenanted)) {
      try JournaledIndex(opening: path, options: Self.options)
    }
  }

  @Test func filesOfTenantsAreOpenedAsSuchAlone() throws {
    let (tenanted, plain) = (directory.file("tenanted"), directory.file("plain"))
    let attributes = IndexAttributes(embedder: "e", extra: ["a": "b"])
    try TenantedIndex(options: Self.options, attributes: attributes).save(to: tenanted)
    try VectorIndex(options: Self.options).save(to: plain)
    #expect(throws: VectorIndexError.file(.tenanted)) { try VectorIndex.load(from: tenanted) }
    #expect(throws: VectorIndexError.file(.tenanted)) {
      try VectorIndex.open(mapping: tenanted)
    }
    #expect(throws: VectorIndexError.file(.notTenanted)) { try TenantedIndex.load(from: plain) }
    #expect(throws: VectorIndexError.file(.notTenanted)) {
      try TenantedIndex.open(mapping: plain)
    }
    #expect(try TenantedIndex.load(from: tenanted).attributes == attributes)
  }
}
