// Contract: CRC-32C, XXH32 and SHA-256 give what their specifications give; both versions of
// CRC-32C agree at every length and alignment, and can be continued.
import Base
import CLinux
import Testing

@Suite struct ChecksumTests {
  private func crc(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { crc32c($0) } }

  /// RFC 3720 appendix B.4, and the check value of the CRC catalogue.
  @Test func crc32cVectors() {
    #expect(crc(Array("123456789".utf8)) == 0xE306_9283)
    #expect(crc([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
    #expect(crc([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
    #expect(crc((0..<32).map { UInt8($0) }) == 0x46DD_794E)
    #expect(crc((0..<32).map { UInt8(31 - $0) }) == 0x113F_DB5C)
    #expect(crc([]) == 0)
  }

  @Test func bothVersionsAgree() {
    let random = SeededRandom(seed: 42)
    let bytes = (0..<320).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    bytes.withUnsafeBytes { buffer in
      var different = 0
      for start in 0..<16 {
        for count in 0...256 {
          let part = UnsafeRawBufferPointer(rebasing: buffer[start..<start + count])
          let seed = UInt32(truncatingIfNeeded: count &* 0x9E37_79B9)
          let fast = kfm_crc32c(seed, part.baseAddress, part.count)
          if fast != kfm_crc32c_portable(seed, part.baseAddress, part.count) { different += 1 }
          if fast != crc32c(part, seed: seed) { different += 1 }
        }
      }
      #expect(different == 0)
    }
  }

  @Test func crc32cCanBeContinued() {
    let bytes = Array("The quick brown fox jumps over the lazy dog".utf8)
    bytes.withUnsafeBytes { buffer in
      let whole = crc32c(buffer)
      for cut in 0...buffer.count {
        let head = UnsafeRawBufferPointer(rebasing: buffer[..<cut])
        let tail = UnsafeRawBufferPointer(rebasing: buffer[cut...])
        #expect(crc32c(tail, seed: crc32c(head)) == whole)
      }
    }
  }

  /// The values Iggy's clients place keys by.
  @Test(arguments: [
    ("", 46_947_589 as UInt32), ("customer-42", 3_680_932_112), ("a", 1_426_945_110),
    ("abc", 852_579_327),
  ])
  func xxh32Vectors(_ text: String, _ hash: UInt32) { #expect(xxh32(text) == hash) }

  @Test(arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
  ])
  func sha256Vectors(_ text: String, _ digest: String) {
    #expect(SHA256Digest(of: text).description == digest)
    #expect(SHA256Digest(of: Array(text.utf8)) == SHA256Digest(of: text))
  }

  @Test func secretsAreComparedWhole() {
    #expect(equalInConstantTime([1, 2], [1, 2]))
    #expect(!equalInConstantTime([1, 2], [1, 3]))
    #expect(!equalInConstantTime([1, 2], [1, 2, 3]))
    #expect(equalInConstantTime([], []))
  }
}
