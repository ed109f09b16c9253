/// Words of a text as retrieval sees them: lower case, letters, digits and `_`, plural endings
/// taken off; `io_uring` counts as itself and as its parts.
package struct WordTokens {
  /// Bytes of a word that count: longer runs are data, not words.
  package static let wordBytesMax = 48

  package private(set) var words: [[UInt8]] = []

  package init(_ text: String) {
    var current: [UInt8] = []
    for scalar in text.unicodeScalars {
      if scalar == "_" || Self.isLetterOrDigit(scalar) {
        if current.count < Self.wordBytesMax { Self.append(scalar, to: &current) }
      } else if !current.isEmpty {
        finish(current)
        current.removeAll(keepingCapacity: true)
      }
    }
    if !current.isEmpty { finish(current) }
  }

  private mutating func finish(_ word: [UInt8]) {
    let underscore = UInt8(ascii: "_")
    let parts = word.split(separator: underscore)
    guard !parts.isEmpty else { return }
    if word.contains(underscore) { words.append(word) }
    for part in parts { words.append(Self.stem(Array(part))) }
  }

  /// Plural and third person off, as Harman's S-stemmer does it ("How effective is suffixing?",
  /// 1991): neighbours → neighbour, queries → query, chooses → choose.
  static func stem(_ word: [UInt8]) -> [UInt8] {
    let s = UInt8(ascii: "s"), e = UInt8(ascii: "e"), i = UInt8(ascii: "i")
    guard word.count > 3, word.last == s else { return word }
    let beforeS = word[word.count - 2]
    if beforeS == s || beforeS == UInt8(ascii: "u") { return word }
    if beforeS == e, word[word.count - 3] == i { return word.dropLast(3) + [UInt8(ascii: "y")] }
    return Array(word.dropLast())
  }

  private static func isLetterOrDigit(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII {
      return (48...57).contains(scalar.value) || (65...90).contains(scalar.value)
        || (97...122).contains(scalar.value)
    }
    return scalar.properties.isAlphabetic || scalar.properties.numericType != nil
  }

  private static func append(_ scalar: Unicode.Scalar, to word: inout [UInt8]) {
    if scalar.isASCII {
      let byte = UInt8(scalar.value)
      word.append((65...90).contains(byte) ? byte | 0x20 : byte)
    } else {
      word.append(contentsOf: scalar.properties.lowercaseMapping.utf8)
    }
  }

  /// Words that stand in every English text and say nothing about what it is about.
  static let stopWords: Set<[UInt8]> = Set(
    """
    a about after all also an and any are as at be been before but by can could did do does each \
    for from had has have he her here his how i if in into is it its just may me more most my no \
    not of on one only or other our out over same she should so some such than that the their \
    them then there these they thi this those to under until up use used very was we were what \
    when where which while who why will with would you your doe ha wa
    """.split(separator: " ").map { Array($0.utf8) })
}

/// FNV-1a, 64 bits: stable between runs and machines, unlike Swift's own hashing.
struct StableHash {
  private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

  @inline(__always)
  mutating func combine(_ byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }

  mutating func combine(_ bytes: some Sequence<UInt8>) { for byte in bytes { combine(byte) } }

  /// With the high bits mixed into the low ones, which FNV leaves poor.
  var mixed: UInt64 {
    var mixed = value
    mixed = (mixed ^ (mixed >> 33)) &* 0xFF51_AFD7_ED55_8CCD
    mixed = (mixed ^ (mixed >> 33)) &* 0xC4CE_B9FE_1A85_EC53
    return mixed ^ (mixed >> 33)
  }
}
