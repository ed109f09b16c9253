/// How the end of a request's body is found (RFC 9112 section 6.3).
package enum BodyFraming: Equatable, Sendable {
  case none
  /// Content-Length, in bytes, not 0.
  case length(Int)
  case chunked
}

/// Request line and header fields of one request.
package struct RequestHead: Sendable {
  package let method: HTTPMethod
  package let target: RequestTarget
  /// The n of HTTP/1.n.
  package let minorVersion: Int
  package let fields: HTTPFields
  package let framing: BodyFraming
  /// The client wants to use the connection again.
  package let keepsAlive: Bool
  /// The client sends the body only after `100 Continue`, or some seconds.
  package let expectsContinue: Bool
  /// The target as it was sent, for logs.
  package var targetText: String {
    String(decoding: fields.block[targetRange], as: UTF8.self)
  }

  /// Host and port the request is for: of an absolute target, else of the Host field (RFC 9112
  /// section 3.2.2); nil only for HTTP/1.0.
  package var host: String? { target.authority ?? fields["host"] }

  let targetRange: Range<Int>
}
