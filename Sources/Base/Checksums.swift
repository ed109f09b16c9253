import CLinux
import COpenSSL
import CXXHash

/// CRC-32C (Castagnoli), the checksum of frames on disk.
package func crc32c(_ bytes: UnsafeRawBufferPointer, seed: UInt32 = 0) -> UInt32 {
  kfm_crc32c(seed, bytes.baseAddress, bytes.count)
}

/// The CRC-32C of two runs of bytes one after the other, from that of each and the length of the
/// second; O(log length).
package func crc32cCombined(_ first: UInt32, _ second: UInt32, length: Int) -> UInt32 {
  kfm_crc32c_combine(first, second, length)
}

/// XXH32 with seed 0: which partition a key belongs to (SEMANTICS D2), as Iggy clients compute it.
package func xxh32(_ text: String) -> UInt32 {
  var text = text
  return text.withUTF8 { XXH32($0.baseAddress, $0.count, 0) }
}

/// SHA-256 (FIPS 180-4) through libcrypto.
package struct SHA256Digest: Hashable, Sendable, CustomStringConvertible {
  package let bytes: [UInt8]

  package init(of data: UnsafeRawBufferPointer) {
    var out = [UInt8](repeating: 0, count: 32)
    let ok = kfm_sha256(data.baseAddress, data.count, &out)
    precondition(ok == 1, "libcrypto has no SHA-256")
    bytes = out
  }

  package init(of data: [UInt8]) {
    self = data.withUnsafeBytes { SHA256Digest(of: $0) }
  }

  package init(of text: String) { self.init(of: Array(text.utf8)) }

  /// 64 lower-case hexadecimal digits.
  package var description: String { Hex.encode(bytes) }
}

/// The version string of the linked libcrypto, for `kfm version`.
package var openSSLVersion: String { String(cString: kfm_openssl_version()) }

/// Compares secrets in a time that depends on the lengths alone.
package func equalInConstantTime(_ left: [UInt8], _ right: [UInt8]) -> Bool {
  guard left.count == right.count else { return false }
  var difference: UInt8 = 0
  for index in left.indices { difference |= left[index] ^ right[index] }
  return difference == 0
}
