// Contract: a bitmap made of bytes has the ids whose bytes are not 0, and no others, whatever its
// length and wherever the bytes stand. A search with one that wants every row gets exactly those that
// are allowed and there, however many and wherever they are.
import Base
import Testing
import VectorIndex

@Suite struct IDBitmapTests {
  @Test func bytesBecomeBits() {
    let random = SeededRandom(seed: 11)
    for count in 0...300 {
      let bytes = (0..<count).map { _ in
        random.next(below: 3) == 0 ? UInt8(truncatingIfNeeded: random.next()) : 0
      }
      let packed = IDBitmap(bytes: bytes.span)
      let wanted = IDBitmap(
        bytes.indices.filter { bytes[$0] != 0 }.map { UInt64($0) }, bound: count)
      #expect(packed == wanted)
      #expect(packed.count == bytes.count { $0 != 0 })
      let part = bytes.dropFirst(count / 3)
      #expect(IDBitmap(bytes: part.span).count == part.count { $0 != 0 })
    }
  }

  @Test func everyAllowedRowIsFound() throws {
    let random = SeededRandom(seed: 12)
    for count in [1, 63, 64, 65, 511, 512, 513, 1_300, 5_003] {
      let index = try VectorIndex(options: .init(dimension: 4, metric: .l2, m: 4))
      for id in 0..<UInt64(count) {
        try index.add((0..<4).map { _ in Float(random.unit()) }, id: id)
      }
      let gone = Set((0..<UInt64(count)).filter { _ in random.next(below: 20) == 0 })
      for id in gone { index.remove(id: id) }
      for oneIn in [1, 2, 3, 10, 100, 1_000] as [UInt64] {
        let allowed = (0..<UInt64(count)).filter { _ in random.next(below: oneIn) == 0 }
        let found = try index.search(
          [0.5, 0.5, 0.5, 0.5], k: count, ef: count,
          filter: .allowing(IDBitmap(allowed, bound: count)))
        #expect(
          found.map(\.id).sorted() == allowed.filter { !gone.contains($0) },
          "1 in \(oneIn) of \(count)")
      }
    }
  }
}
