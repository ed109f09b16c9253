import UringIO

/// An `http` or `https` URL, taken apart for a request.
package struct HTTPURL: Equatable, Sendable {
  package let isSecure: Bool
  /// Name or address, IPv6 without brackets.
  package let host: String
  package let port: UInt16
  /// Host and port as written, for the Host field.
  package let authority: String
  /// Path and query, as they are sent.
  package let target: String

  /// nil for anything that cannot be asked: another scheme, user names, no host, characters that
  /// have to be escaped. A fragment is left out.
  package init?(_ text: String) {
    guard let scheme = text.firstRange(of: "://") else { return nil }
    switch text[..<scheme.lowerBound].lowercased() {
    case "http": isSecure = false
    case "https": isSecure = true
    default: return nil
    }
    let rest = text[scheme.upperBound...].prefix { $0 != "#" }
    let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
    authority = String(rest[..<end])
    let path = rest[end...]
    target = path.hasPrefix("/") ? String(path) : "/" + path
    guard target.utf8.allSatisfy({ ByteSet.target.contains($0) }),
      authority.utf8.allSatisfy({ ByteSet.authority.contains($0) }),
      let (host, port) = Self.split(authority, portOfScheme: isSecure ? 443 : 80)
    else { return nil }
    (self.host, self.port) = (host, port)
  }

  /// The host as an address, when it is one.
  var address: SocketAddress? {
    SocketAddress(parsing: "\(host):\(port)") ?? SocketAddress(parsing: "[\(host)]:\(port)")
  }

  private static func split(_ authority: String, portOfScheme: UInt16) -> (String, UInt16)? {
    var host = authority[...]
    var port = portOfScheme
    let afterBracket = authority.lastIndex(of: "]") ?? authority.startIndex
    if let colon = authority[afterBracket...].lastIndex(of: ":") {
      let digits = authority[authority.index(after: colon)...]
      guard digits.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), let number = UInt16(digits), number > 0
      else { return nil }
      host = authority[..<colon]
      port = number
    }
    if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
    return host.isEmpty ? nil : (String(host), port)
  }
}
