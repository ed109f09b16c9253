import Events
import HTTP

/// Who sends a request. In `auth.mode = "local"`, the only one of this version, whoever reaches
/// the node is its owner: over TCP the listen address is loopback and `AccessRules` hold, and the
/// unix socket has mode 0600.
enum AuthenticationService {
  static func principal(of request: HTTPRequest) -> Principal { .local }
}
