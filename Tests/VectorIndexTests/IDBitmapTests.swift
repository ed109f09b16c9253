// Contract: a bitmap made of bytes has the ids whose bytes are not 0, and no others, whatever its
// length and wherever the bytes stand.
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
}
