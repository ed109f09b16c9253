/// A complete request, as a handler gets it.
package struct HTTPRequest: Sendable {
  package let head: RequestHead
  package let body: [UInt8]
  /// It came through a unix socket, which only this machine's owner can open.
  package let isLocalSocket: Bool

  package var method: HTTPMethod { head.method }
  /// The path's segments; see `RequestTarget`.
  package var path: [String] { head.target.segments }
  package var target: RequestTarget { head.target }
  package var fields: HTTPFields { head.fields }
}
