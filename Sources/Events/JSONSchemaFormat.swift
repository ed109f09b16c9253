import Base

/// The values of `format` that are checked (JSON Schema 2020-12 validation, section 7.3). Others
/// are annotations.
enum SchemaFormat: String, Sendable {
  case dateTime = "date-time"
  case date
  case time
  case email
  case uuid
  case uri
  case ipv4
  case ipv6

  func accepts(_ text: String) -> Bool {
    let bytes = ArraySlice(text.utf8)
    return switch self {
    case .dateTime: Self.isDateTime(bytes)
    case .date: Self.isDate(bytes)
    case .time: Self.isTime(bytes)
    case .email: Self.isEmail(bytes)
    case .uuid: Self.isUUID(bytes)
    case .uri: Self.isURI(bytes)
    case .ipv4: Self.isIPv4(bytes)
    case .ipv6: Self.isIPv6(bytes)
    }
  }

  // MARK: RFC 3339 section 5.6

  private static func isDateTime(_ bytes: ArraySlice<UInt8>) -> Bool {
    guard bytes.count > 11, bytes[10] | 0x20 == UInt8(ascii: "t") else { return false }
    return isDate(bytes.prefix(10)) && isTime(bytes.dropFirst(11))
  }

  private static func isDate(_ bytes: ArraySlice<UInt8>) -> Bool {
    let at = bytes.startIndex
    guard bytes.count == 10, bytes[at + 4] == UInt8(ascii: "-"),
      bytes[at + 7] == UInt8(ascii: "-"), let year = number(bytes[at..<at + 4]),
      let month = number(bytes[at + 5..<at + 7]), let day = number(bytes[at + 8..<at + 10])
    else { return false }
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    let days = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    return (1...12).contains(month) && (1...days[month - 1]).contains(day)
  }

  private static func isTime(_ bytes: ArraySlice<UInt8>) -> Bool {
    var at = bytes.startIndex
    guard bytes.count >= 9, bytes[at + 2] == UInt8(ascii: ":"),
      bytes[at + 5] == UInt8(ascii: ":"), let hour = number(bytes[at..<at + 2]),
      let minute = number(bytes[at + 3..<at + 5]), let second = number(bytes[at + 6..<at + 8]),
      hour < 24, minute < 60, second <= 60
    else { return false }
    at += 8
    if bytes[at] == UInt8(ascii: ".") {
      let digits = bytes[(at + 1)...].prefix(while: isDigit)
      guard !digits.isEmpty else { return false }
      at = digits.endIndex
    }
    guard let offset = offsetMinutes(bytes[at...]) else { return false }
    // A leap second is the last of a day in UTC.
    let minuteOfDay = (hour * 60 + minute - offset + 2 * 1_440) % 1_440
    return second < 60 || minuteOfDay == 1_439
  }

  private static func offsetMinutes(_ bytes: ArraySlice<UInt8>) -> Int? {
    guard let sign = bytes.first else { return nil }
    if sign | 0x20 == UInt8(ascii: "z") { return bytes.count == 1 ? 0 : nil }
    let at = bytes.startIndex + 1
    guard sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-"), bytes.count == 6,
      bytes[at + 2] == UInt8(ascii: ":"), let hours = number(bytes[at..<at + 2]), hours < 24,
      let minutes = number(bytes[at + 3..<at + 5]), minutes < 60
    else { return nil }
    return (hours * 60 + minutes) * (sign == UInt8(ascii: "+") ? 1 : -1)
  }

  // MARK: Addresses

  /// RFC 5321 section 4.1.2 without quoted local parts and address literals.
  private static func isEmail(_ bytes: ArraySlice<UInt8>) -> Bool {
    guard let sign = bytes.lastIndex(of: UInt8(ascii: "@")) else { return false }
    let local = bytes[..<sign]
    let domain = bytes[(sign + 1)...]
    guard local.count <= 64, domain.count <= 255 else { return false }
    let atoms = local.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    let labels = domain.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    return atoms.allSatisfy { atom in
      !atom.isEmpty
        && atom.allSatisfy { isAlphanumeric($0) || isOne($0, of: "!#$%&'*+-/=?^_`{|}~") }
    }
      && labels.allSatisfy { label in
        (1...63).contains(label.count) && label.first != UInt8(ascii: "-")
          && label.last != UInt8(ascii: "-")
          && label.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
      }
  }

  /// RFC 9562 section 4.
  private static func isUUID(_ bytes: ArraySlice<UInt8>) -> Bool {
    let groups = bytes.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
    return groups.map(\.count) == [8, 4, 4, 4, 12]
      && groups.allSatisfy { $0.allSatisfy { Hex.value(of: $0) != nil } }
  }

  /// RFC 3986: a scheme, and after it no character that a URI cannot have.
  private static func isURI(_ bytes: ArraySlice<UInt8>) -> Bool {
    guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")), colon > bytes.startIndex else {
      return false
    }
    let scheme = bytes[..<colon]
    guard isLetter(scheme[scheme.startIndex]),
      scheme.allSatisfy({ isAlphanumeric($0) || isOne($0, of: "+-.") })
    else { return false }
    var rest = bytes[(colon + 1)...]
    var fragments = 0
    while let byte = rest.popFirst() {
      switch byte {
      case UInt8(ascii: "%"):
        guard let high = rest.popFirst(), let low = rest.popFirst(), Hex.value(of: high) != nil,
          Hex.value(of: low) != nil
        else { return false }
      case UInt8(ascii: "#"): fragments += 1
      default:
        guard isAlphanumeric(byte) || isOne(byte, of: "-._~:/?[]@!$&'()*+,;=") else { return false }
      }
    }
    return fragments <= 1
  }

  private static func isIPv4(_ bytes: ArraySlice<UInt8>) -> Bool {
    let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    return parts.count == 4
      && parts.allSatisfy { part in
        guard (1...3).contains(part.count), let value = number(part) else { return false }
        return value < 256 && (part.count == 1 || part.first != UInt8(ascii: "0"))
      }
  }

  /// RFC 4291 section 2.2: eight groups, one run of zeros as `::`, an IPv4 address at the end.
  private static func isIPv6(_ bytes: ArraySlice<UInt8>) -> Bool {
    let text = Array(bytes)
    let double = text.indices.dropLast().filter { text[$0] == 0x3A && text[$0 + 1] == 0x3A }
    guard double.count <= 1 else { return false }
    guard let gap = double.first else { return groupCount(text[...], isLast: true) == 8 }
    let head = text[..<gap]
    let tail = text[(gap + 2)...]
    guard let before = head.isEmpty ? 0 : groupCount(head, isLast: false),
      let after = tail.isEmpty ? 0 : groupCount(tail, isLast: true)
    else { return false }
    return before + after <= 7
  }

  /// Groups of 16 bits in `bytes`; nil when something is none.
  private static func groupCount(_ bytes: ArraySlice<UInt8>, isLast: Bool) -> Int? {
    let parts = bytes.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
    var count = 0
    for (index, part) in parts.enumerated() {
      if isLast, index == parts.count - 1, part.contains(UInt8(ascii: ".")) {
        guard isIPv4(part) else { return nil }
        count += 2
      } else {
        guard (1...4).contains(part.count), part.allSatisfy({ Hex.value(of: $0) != nil }) else {
          return nil
        }
        count += 1
      }
    }
    return count
  }

  // MARK: Characters

  private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
    guard !digits.isEmpty, digits.count <= 4, digits.allSatisfy(isDigit) else { return nil }
    return digits.reduce(0) { $0 * 10 + Int($1 - 48) }
  }

  private static func isDigit(_ byte: UInt8) -> Bool { byte >= 48 && byte <= 57 }
  private static func isLetter(_ byte: UInt8) -> Bool {
    byte | 0x20 >= 97 && byte | 0x20 <= 122
  }
  private static func isAlphanumeric(_ byte: UInt8) -> Bool { isDigit(byte) || isLetter(byte) }
  private static func isOne(_ byte: UInt8, of characters: StaticString) -> Bool {
    characters.withUTF8Buffer { $0.contains(byte) }
  }
}
