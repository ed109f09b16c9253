import MemoryService
import TestSupport
import Testing

// Contract: chunks come back by number with their cosine; zero vectors are left out, not refused;
// a file of another dimension is refused.

@Suite struct VectorStoreAdapterTests {
  @Test func nearestWithCosine() throws {
    let directory = TemporaryDirectory("memory")
    let store = try VectorStoreAdapter(dimension: 2)
    try store.add([3, 4], chunk: 0)
    try store.add([0, 0], chunk: 1)
    try store.add([0, 2], chunk: 2)
    #expect(store.count == 2)
    let found = try store.nearest(to: [0, 1], limit: 5)
    #expect(found.map(\.chunk) == [2, 0])
    #expect(abs(found[1].cosine - 0.8) < 1e-6)
    #expect(abs(try #require(store.cosine(chunk: 0, with: [0, 1])) - 0.8) < 1e-6)
    #expect(store.cosine(chunk: 1, with: [0, 1]) == nil)
    #expect(throws: MemoryError.self) { try store.add([1, 2], chunk: 0) }
    try store.save(to: directory.file("v"))
    let loaded = try VectorStoreAdapter(path: directory.file("v"), dimension: 2)
    #expect(try loaded.nearest(to: [0, 1], limit: 1).map(\.chunk) == [2])
    #expect(throws: MemoryError.self) {
      try VectorStoreAdapter(path: directory.file("v"), dimension: 3)
    }
  }
}
