import Base
import HTTP
import TestSupport
import Testing

// Contract: no bytes whatever make the parsers trap, and what they say never depends on how the
// bytes were split. Requests are taken apart and damaged; the seed is printed on failure.

private let seeds: [String] = [
  "GET /v1/turns?x=1 HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n",
  "POST /v1/turns HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
  "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    + "3;e\r\nabc\r\n0\r\nT: 1\r\n\r\n",
  "GET http://a:1/%2e HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
]

/// Bytes that matter to the grammar, so that damage hits what it can break.
private let telling = Array("\r\n\t :;,/%?#0fFz\u{0}\u{7f}".utf8)

@Suite struct ParserFuzzTests {
  @Test func damagedRequestsAreToldTheSameWhateverTheSplit() {
    let seed = testSeed()
    let random = SeededRandom(seed: seed)
    var refused = 0
    for round in 0..<4_000 {
      let bytes = damaged(random)
      let whole = RequestTranscript(bytes, bodyBytesMax: 64)
      let first = Int(random.next(below: UInt64(bytes.count + 1)))
      let second = first + Int(random.next(below: UInt64(bytes.count - first + 1)))
      let split = RequestTranscript(bytes, cuts: [first, second], bodyBytesMax: 64)
      if split != whole { Issue.record("seed \(seed), round \(round): \(split) for \(whole)") }
      if whole.failure != nil { refused += 1 }
    }
    // Both sides of the grammar were seen.
    #expect(refused > 1_000 && refused < 3_990, "seed \(seed)")
  }

  private func damaged(_ random: SeededRandom) -> [UInt8] {
    func pick<T>(_ list: [T]) -> T { list[Int(random.next(below: UInt64(list.count)))] }
    var bytes = Array((pick(seeds) + pick(seeds)).utf8)
    for _ in 0...random.next(below: 3) {
      let at = Int(random.next(below: UInt64(bytes.count)))
      switch random.next(below: 4) {
      case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
      case 1: bytes[at] = pick(telling)
      case 2: bytes.insert(pick(telling), at: at)
      default: bytes.remove(at: at)
      }
    }
    return bytes
  }
}
