/// What a request asks for: the path in segments, decoded after it was split, so that an encoded
/// slash stays inside its segment; nothing is ever resolved against `.` or `..`.
package struct RequestTarget: Equatable, Sendable {
  /// `/v1/turns` gives `["v1", "turns"]`, `/` gives `[""]`, `*` gives none.
  package var segments: [String] = []
  /// The parameters after `?`, in their order, `+` read as a space.
  package var query: [HTTPField] = []
  /// Host and port of an absolute-form target; it stands for the Host field then.
  package var authority: String?

  /// The first query parameter of that name.
  package func parameter(_ name: String) -> String? {
    query.first { $0.name == name }?.value
  }

  /// Reads the bytes between the two spaces of a request line (RFC 9112 section 3.2).
  static func parse(
    _ bytes: UnsafeRawBufferPointer, method: HTTPMethod
  ) throws(RequestFailure) -> RequestTarget {
    guard !bytes.isEmpty, ByteSet.target.containsAll(bytes) else {
      throw .malformed("the target holds a character that is not allowed")
    }
    guard method != .connect else {
      throw .malformed("CONNECT is for proxies, and this is none")
    }
    if bytes[0] == Byte.slash { return try origin(bytes, from: 0) }
    if bytes.count == 1, bytes[0] == UInt8(ascii: "*") {
      guard method == .options else { throw .malformed("the target * is for OPTIONS only") }
      return RequestTarget()
    }
    return try absolute(bytes)
  }

  private static func absolute(
    _ bytes: UnsafeRawBufferPointer
  ) throws(RequestFailure) -> RequestTarget {
    let form = RequestFailure.malformed("the target is neither a path nor an http URL")
    guard let colon = Byte.firstIndex(of: Byte.colon, in: bytes, from: 0, to: bytes.count),
      colon + 3 <= bytes.count, bytes[colon + 1] == Byte.slash, bytes[colon + 2] == Byte.slash
    else { throw form }
    let scheme = UnsafeRawBufferPointer(rebasing: bytes[..<colon])
    guard Byte.equal(scheme, lowercase: "http") || Byte.equal(scheme, lowercase: "https") else {
      throw form
    }
    let start = colon + 3
    var end = start
    while end < bytes.count, bytes[end] != Byte.slash, bytes[end] != UInt8(ascii: "?") { end += 1 }
    let authority = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
    guard !authority.isEmpty, ByteSet.authority.containsAll(authority) else {
      throw .malformed("the target's host is not valid")
    }
    var target = try origin(bytes, from: end)
    target.authority = String(decoding: authority, as: UTF8.self)
    return target
  }

  private static func origin(
    _ bytes: UnsafeRawBufferPointer, from start: Int
  ) throws(RequestFailure) -> RequestTarget {
    let mark = Byte.firstIndex(
      of: UInt8(ascii: "?"), in: bytes, from: start, to: bytes.count)
    let end = mark ?? bytes.count
    var target = RequestTarget()
    var at = min(start + 1, end)
    while true {
      let slash = Byte.firstIndex(of: Byte.slash, in: bytes, from: at, to: end) ?? end
      guard let segment = PercentEncoding.decode(bytes, at..<slash, plusIsSpace: false) else {
        throw .malformed("the path holds an escape that is not valid")
      }
      target.segments.append(segment)
      guard slash < end else { break }
      at = slash + 1
    }
    if let mark { target.query = try parseQuery(bytes, mark + 1..<bytes.count) }
    return target
  }

  private static func parseQuery(
    _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>
  ) throws(RequestFailure) -> [HTTPField] {
    var fields: [HTTPField] = []
    var at = range.lowerBound
    while at < range.upperBound {
      let end =
        Byte.firstIndex(of: UInt8(ascii: "&"), in: bytes, from: at, to: range.upperBound)
        ?? range.upperBound
      defer { at = end + 1 }
      guard at < end else { continue }
      let equal = Byte.firstIndex(of: UInt8(ascii: "="), in: bytes, from: at, to: end)
      guard let name = PercentEncoding.decode(bytes, at..<(equal ?? end), plusIsSpace: true),
        let value = PercentEncoding.decode(
          bytes, (equal.map { $0 + 1 } ?? end)..<end, plusIsSpace: true)
      else { throw .malformed("the query holds an escape that is not valid") }
      fields.append(HTTPField(name, value))
    }
    return fields
  }
}
