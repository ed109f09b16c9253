/// A ULID: 48 bits of Unix milliseconds, 80 bits of randomness, 26 characters of Crockford's
/// base 32. Sorts by time, as a value and as text.
package struct ULID: Hashable, Comparable, Sendable, CustomStringConvertible {
  package var value: UInt128

  package init(value: UInt128) { self.value = value }

  package init(time: Timestamp, randomness: UInt128) {
    let milliseconds = UInt128(UInt64(max(0, time.microseconds / 1_000)) & 0xFFFF_FFFF_FFFF)
    value = milliseconds << 80 | randomness & ((1 << 80) - 1)
  }

  /// Reads 26 characters, upper or lower case; nil for anything else, and above 2¹²⁸ − 1.
  package init?(_ text: some StringProtocol) {
    var value: UInt128 = 0
    var count = 0
    for byte in text.utf8 {
      let digit = byte < 128 ? decoding[Int(byte)] : 0xFF
      guard digit != 0xFF, count < 26, count > 0 || digit < 8 else { return nil }
      value = value << 5 | UInt128(digit)
      count += 1
    }
    guard count == 26 else { return nil }
    self.value = value
  }

  /// The time inside, with millisecond precision.
  package var time: Timestamp {
    Timestamp(microseconds: Int64(truncatingIfNeeded: value >> 80) &* 1_000)
  }

  package var description: String {
    String(unsafeUninitializedCapacity: 26) { buffer in
      for index in 0..<26 {
        buffer[index] = alphabet[Int(truncatingIfNeeded: value >> UInt128(5 * (25 - index))) & 31]
      }
      return 26
    }
  }

  package func append(to bytes: inout [UInt8]) {
    for index in 0..<26 {
      bytes.append(alphabet[Int(truncatingIfNeeded: value >> UInt128(5 * (25 - index))) & 31])
    }
  }

  package static func < (left: ULID, right: ULID) -> Bool { left.value < right.value }
}

private let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)

private let decoding: [UInt8] = {
  var table = [UInt8](repeating: 0xFF, count: 128)
  for (digit, byte) in alphabet.enumerated() {
    table[Int(byte)] = UInt8(digit)
    if byte >= 65 { table[Int(byte) + 32] = UInt8(digit) }
  }
  return table
}()
