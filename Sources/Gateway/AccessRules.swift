import Base
package import Events

/// Who may reach a node that asks for no account (`auth.mode = "local"`): a browser must not be
/// led to it by a foreign page or a foreign name, so `Host` and `Origin` are compared with the
/// names that are its own. Ports do not count. Applies to TCP; who can open the unix socket owns
/// the node already.
package struct AccessRules: Sendable {
  package static let loopbackNames = ["localhost", "127.0.0.1", "[::1]"]

  /// Lower case, IPv6 addresses in brackets.
  private var hosts: Set<String>
  private var origins: [AllowedOrigin]

  /// A name, and a scheme when the configuration gives one.
  private struct AllowedOrigin: Sendable, Hashable {
    var scheme: String?
    var name: String
  }

  /// `[http] allowed_hosts` and `allowed_origins`, beside the loopback names. An origin may have a
  /// scheme, which then counts; ports are dropped.
  package init(allowedHosts: [String] = [], allowedOrigins: [String] = []) {
    hosts = Set((Self.loopbackNames + allowedHosts).compactMap(Self.name(ofAuthority:)))
    origins = (Self.loopbackNames + allowedOrigins).compactMap { entry in
      let (scheme, authority) = Self.split(entry)
      return Self.name(ofAuthority: authority).map { AllowedOrigin(scheme: scheme, name: $0) }
    }
  }

  /// `host` is the one Host header (the parser has refused none and several), `origins` all
  /// Origin headers; nil when the request may pass.
  package func refusal(host: String, origins: [String]) -> Problem? {
    guard let name = Self.name(ofAuthority: host), hosts.contains(name) else {
      return Problem(
        .hostForbidden,
        "the Host header names a host that is not this node's; see http.allowed_hosts")
    }
    guard origins.allSatisfy(isAllowed(origin:)) else {
      return Problem(
        .originForbidden,
        "pages of that Origin may not use this node; see http.allowed_origins")
    }
    return nil
  }

  private func isAllowed(origin: String) -> Bool {
    let (scheme, authority) = Self.split(origin)
    // Also refuses `null`, the origin of sandboxed pages and files.
    guard let scheme, let name = Self.name(ofAuthority: authority) else { return false }
    return origins.contains { $0.name == name && ($0.scheme ?? scheme) == scheme }
  }

  private static func split(_ origin: String) -> (scheme: String?, authority: String) {
    guard let colon = origin.firstIndex(of: ":"), origin[colon...].hasPrefix("://") else {
      return (nil, origin)
    }
    return (
      origin[..<colon].lowercased(), String(origin[colon...].dropFirst("://".count))
    )
  }

  /// The name of `name[:port]` in lower case; nil when it is none.
  private static func name(ofAuthority authority: String) -> String? {
    let name: Substring
    var rest: Substring
    if authority.hasPrefix("[") {
      guard let end = authority.firstIndex(of: "]") else { return nil }
      name = authority[...end]
      rest = authority[authority.index(after: end)...]
    } else {
      let end = authority.firstIndex(of: ":") ?? authority.endIndex
      name = authority[..<end]
      rest = authority[end...]
    }
    if !rest.isEmpty {
      guard rest.removeFirst() == ":", rest.utf8.allSatisfy({ (48...57).contains($0) }) else {
        return nil
      }
    }
    return name.isEmpty ? nil : name.lowercased()
  }
}
