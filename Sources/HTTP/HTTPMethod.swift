/// A request method; case matters (RFC 9110 section 9.1).
package struct HTTPMethod: Hashable, Sendable, CustomStringConvertible {
  package let name: String

  package init(_ name: String) { self.name = name }

  package static let get = HTTPMethod("GET")
  package static let head = HTTPMethod("HEAD")
  package static let post = HTTPMethod("POST")
  package static let put = HTTPMethod("PUT")
  package static let patch = HTTPMethod("PATCH")
  package static let delete = HTTPMethod("DELETE")
  package static let options = HTTPMethod("OPTIONS")
  package static let connect = HTTPMethod("CONNECT")

  package var description: String { name }

  /// Requests that say nothing of a length when they have no body (RFC 9110 section 8.6).
  var isBodyless: Bool {
    switch name {
    case "POST", "PUT", "PATCH": false
    default: true
    }
  }
}
