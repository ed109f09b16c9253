import Glibc

/// Where a socket listens or connects to. Hosts are numeric: names are resolved elsewhere, off
/// the loop.
package enum SocketAddress: Hashable, Sendable, CustomStringConvertible {
  case ipv4(host: String, port: UInt16)
  /// `host` without brackets.
  case ipv6(host: String, port: UInt16)
  /// A socket file. An empty path is an unnamed socket (the client's end).
  case unix(path: String)

  /// Reads `127.0.0.1:8080`, `[::1]:0`, `unix:/run/kfm.sock` and `/run/kfm.sock`; nil for anything
  /// else, names and ports above 65535 included.
  package init?(parsing text: String) {
    if text.hasPrefix("unix:") {
      self = .unix(path: String(text.dropFirst(5)))
    } else if text.hasPrefix("/") {
      self = .unix(path: text)
    } else {
      guard let colon = text.lastIndex(of: ":"),
        let port = Self.port(text[text.index(after: colon)...])
      else { return nil }
      let host = text[..<colon]
      self =
        host.hasPrefix("[") && host.hasSuffix("]")
        ? .ipv6(host: String(host.dropFirst().dropLast()), port: port)
        : .ipv4(host: String(host), port: port)
    }
    guard isValid else { return nil }
  }

  package var description: String {
    switch self {
    case .ipv4(let host, let port): "\(host):\(port)"
    case .ipv6(let host, let port): "[\(host)]:\(port)"
    case .unix(let path): "unix:\(path)"
    }
  }

  /// 0 for a socket file.
  package var port: UInt16 {
    switch self {
    case .ipv4(_, let port), .ipv6(_, let port): port
    case .unix: 0
    }
  }

  /// Reachable from this machine only.
  package var isLoopback: Bool {
    switch self {
    case .ipv4(let host, _): host.hasPrefix("127.")
    case .ipv6(let host, _): host == "::1"
    case .unix: true
    }
  }

  private var isValid: Bool {
    switch self {
    case .unix(let path): !path.isEmpty && !path.utf8.contains(0)
    case .ipv4(let host, let port): sockaddr_in(host: host, port: port) != nil
    case .ipv6(let host, let port): sockaddr_in6(host: host, port: port) != nil
    }
  }

  private static func port(_ digits: Substring) -> UInt16? {
    digits.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 } ? UInt16(digits) : nil
  }
}

extension sockaddr_in {
  init?(host: String, port: UInt16) {
    self.init()
    sin_family = sa_family_t(AF_INET)
    sin_port = port.bigEndian
    guard inet_pton(AF_INET, host, &sin_addr) == 1 else { return nil }
  }
}

extension sockaddr_in6 {
  init?(host: String, port: UInt16) {
    self.init()
    sin6_family = sa_family_t(AF_INET6)
    sin6_port = port.bigEndian
    guard inet_pton(AF_INET6, host, &sin6_addr) == 1 else { return nil }
  }
}
