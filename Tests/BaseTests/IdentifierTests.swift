// Contract: a ULID is 26 characters that sort like its value; hexadecimal and base 64 are what
// their RFCs say; nothing is read that was not written so.
import Base
import Testing

@Suite struct ULIDTests {
  @Test func textAndValueAgree() throws {
    let known = try #require(ULID("01ARZ3NDEKTSV4RRFFQ69G5FAV"))
    // The specification's example: 2016-07-30T23:54:10.259Z.
    #expect(known.time == Timestamp(microseconds: 1_469_922_850_259_000))
    #expect(known.description == "01ARZ3NDEKTSV4RRFFQ69G5FAV")
    #expect(ULID("01arz3ndektsv4rrffq69g5fav") == known)
    #expect(ULID(value: .max).description == "7ZZZZZZZZZZZZZZZZZZZZZZZZZ")
    #expect(ULID(value: 0).description == String(repeating: "0", count: 26))
    var bytes: [UInt8] = []
    known.append(to: &bytes)
    #expect(bytes == Array(known.description.utf8))
  }

  @Test(arguments: [17 as UInt64]) func everyValueReadsBackAndSorts(seed: UInt64) {
    let random = SeededRandom(seed: seed)
    var last: (value: ULID, text: String)?
    var values = (0..<2_000).map { _ in ULID(value: random.next128()) }
    values.sort()
    for value in values {
      let text = value.description
      #expect(ULID(text) == value)
      if let last { #expect(last.text < text && last.value < value, "seed \(seed)") }
      last = (value, text)
    }
  }

  @Test func theTimeIsInside() {
    let time = Timestamp(microseconds: 1_764_108_621_123_456)
    let id = ULID(time: time, randomness: .max)
    #expect(id.time == Timestamp(microseconds: 1_764_108_621_123_000))
    #expect(id < ULID(time: time.adding(.milliseconds(1)), randomness: 0))
    #expect(ULID(time: Timestamp(microseconds: -5), randomness: 1).value == 1)
  }

  @Test(arguments: [
    "", "01ARZ3NDEKTSV4RRFFQ69G5FA", "01ARZ3NDEKTSV4RRFFQ69G5FAVX", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
    "01ARZ3NDEKTSV4RRFFQ69G5FAI", "01ARZ3NDEKTSV4RRFFQ69G5FAL", "01ARZ3NDEKTSV4RRFFQ69G5FAO",
    "01ARZ3NDEKTSV4RRFFQ69G5FAU", "01ARZ3NDEKTSV4RRFFQ69G5F-V", "01ARZ3NDEKTSV4RRFFQ69G5F é",
  ])
  func nothingElseIsRead(_ text: String) { #expect(ULID(text) == nil) }
}

@Suite struct EncodingTests {
  /// RFC 4648 section 10.
  @Test(arguments: [
    ("", "", ""), ("f", "Zg==", "66"), ("fo", "Zm8=", "666f"), ("foo", "Zm9v", "666f6f"),
    ("foob", "Zm9vYg==", "666f6f62"), ("fooba", "Zm9vYmE=", "666f6f6261"),
    ("foobar", "Zm9vYmFy", "666f6f626172"),
  ])
  func testVectors(_ text: String, _ base64: String, _ hex: String) {
    let bytes = Array(text.utf8)
    #expect(Base64.encode(bytes) == base64)
    #expect(Hex.encode(bytes) == hex)
    #expect(Hex.decode(hex) == bytes)
    #expect(Hex.decode(hex.uppercased()) == bytes)
  }

  @Test func everyByteIsEncoded() {
    let all = (0...255).map { UInt8($0) }
    #expect(Hex.decode(Hex.encode(all)) == all)
    #expect(Base64.encode(all).utf8.count == 344)
    #expect(Base64.encode([0xFB, 0xEF, 0xFF]) == "++//")
    for byte in all {
      let digit = "0123456789abcdefABCDEF".utf8.contains(byte)
      #expect((Hex.value(of: byte) != nil) == digit)
    }
    #expect(Hex.decode("a") == nil)
    #expect(Hex.decode("zz") == nil)
    #expect(Hex.encode(0x1F as UInt128) == String(repeating: "0", count: 30) + "1f")
  }
}
