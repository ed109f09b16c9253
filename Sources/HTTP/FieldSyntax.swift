/// The syntax of one field line (RFC 9112 section 5), for requests, responses and trailers.
enum FieldSyntax {
  /// Why a line is refused; a whole sentence part, shown to the client.
  typealias Reason = String

  /// Locates name and value in the line `bytes[range]` (without its CRLF), or says what is wrong.
  static func locate(
    _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>
  ) -> Result<HTTPFields.Span, FieldError> {
    let start = range.lowerBound
    let first = bytes[start]
    guard first != Byte.space, first != Byte.tab else {
      return .failure(FieldError("a header line starts with white space (obsolete folding)"))
    }
    var at = start
    while at < range.upperBound, ByteSet.token.contains(bytes[at]) { at += 1 }
    guard at < range.upperBound, bytes[at] == Byte.colon else {
      return .failure(FieldError(nameReason(bytes, at, range.upperBound)))
    }
    guard at > start else { return .failure(FieldError("a header field has an empty name")) }
    let nameEnd = at
    let value = trimmed(bytes, at + 1..<range.upperBound)
    for index in value where !isValueByte(bytes[index]) {
      return .failure(FieldError("a header value holds a control character"))
    }
    return .success(
      HTTPFields.Span(
        nameStart: UInt32(start), nameEnd: UInt32(nameEnd),
        valueStart: UInt32(value.lowerBound), valueEnd: UInt32(value.upperBound)))
  }

  /// Without the spaces and tabs around it.
  static func trimmed(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> Range<Int> {
    var start = range.lowerBound
    var end = range.upperBound
    while start < end, isBlank(bytes[start]) { start += 1 }
    while start < end, isBlank(bytes[end - 1]) { end -= 1 }
    return start..<end
  }

  /// True when `element` (lower case) is one of the comma-separated elements of `value`.
  static func list(_ value: UnsafeRawBufferPointer, contains element: StaticString) -> Bool {
    var start = 0
    while start <= value.count {
      let end =
        Byte.firstIndex(of: UInt8(ascii: ","), in: value, from: start, to: value.count)
        ?? value.count
      let part = UnsafeRawBufferPointer(rebasing: value[trimmed(value, start..<end)])
      if Byte.equal(part, lowercase: element) { return true }
      start = end + 1
    }
    return false
  }

  /// HTAB, SP, VCHAR and obs-text (RFC 9110 section 5.5).
  private static func isValueByte(_ byte: UInt8) -> Bool {
    byte >= 0x20 && byte != 0x7F || byte == Byte.tab
  }

  private static func isBlank(_ byte: UInt8) -> Bool { byte == Byte.space || byte == Byte.tab }

  private static func nameReason(
    _ bytes: UnsafeRawBufferPointer, _ at: Int, _ end: Int
  ) -> Reason {
    guard at < end else { return "a header line has no colon" }
    return isBlank(bytes[at])
      ? "white space stands between a header name and its colon"
      : "a header name holds a character that is not allowed"
  }
}

/// A field line that breaks the syntax.
struct FieldError: Error {
  let reason: FieldSyntax.Reason
  init(_ reason: FieldSyntax.Reason) { self.reason = reason }
}
