/// The parts of a base URL that matter here: where to connect for a probe, and whether the URL
/// can be used at all.
package struct ProviderURL: Hashable, Sendable {
  package let isSecure: Bool
  /// Without brackets, in lower case.
  package let host: String
  package let port: UInt16

  /// Nil unless `text` is `http://` or `https://` with a host, and without user, query or
  /// fragment (a key in a URL ends up in logs).
  package init?(_ text: String) {
    let lowered = text.lowercased()
    let rest: Substring
    if lowered.hasPrefix("https://") {
      isSecure = true
      rest = lowered.dropFirst(8)
    } else if lowered.hasPrefix("http://") {
      isSecure = false
      rest = lowered.dropFirst(7)
    } else {
      return nil
    }
    guard !rest.contains(where: { "?#@ \t\\".contains($0) }) else { return nil }
    let authority = rest.prefix { $0 != "/" }
    guard let (host, port) = Self.split(authority) else { return nil }
    self.host = host
    self.port = port ?? (isSecure ? 443 : 80)
  }

  private static func split(_ authority: Substring) -> (host: String, port: UInt16?)? {
    var host = authority
    var port: UInt16?
    if authority.hasPrefix("[") {
      guard let close = authority.firstIndex(of: "]") else { return nil }
      host = authority[authority.index(after: authority.startIndex)..<close]
      let tail = authority[authority.index(after: close)...]
      if !tail.isEmpty {
        guard tail.first == ":", let number = UInt16(tail.dropFirst()) else { return nil }
        port = number
      }
    } else if let colon = authority.lastIndex(of: ":") {
      guard let number = UInt16(authority[authority.index(after: colon)...]) else { return nil }
      host = authority[..<colon]
      port = number
    }
    guard !host.isEmpty, port != 0 else { return nil }
    return (String(host), port)
  }
}
