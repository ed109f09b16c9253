package import Base

/// How long each part of an exchange may take.
package struct HTTPTimeouts: Sendable, Equatable {
  /// Name look-up, TCP and TLS.
  package var connect = Nanoseconds.seconds(5)
  /// From the request being on its way to the first byte of the answer.
  package var firstByte = Nanoseconds.seconds(60)
  /// Between two pieces of the answer.
  package var idle = Nanoseconds.seconds(30)
  /// The whole exchange.
  package var total = Nanoseconds.seconds(600)

  package init() {}
}

/// A request to somebody else's server.
package struct HTTPClientRequest: Sendable {
  package var method: HTTPMethod
  /// `http://` or `https://`; nothing else is asked.
  package var url: String
  package var fields: [HTTPField]
  package var body: [UInt8]
  package var timeouts = HTTPTimeouts()
  /// Connects to this socket instead of the URL's host (which still names the `Host`). A path that
  /// is too long for a socket address is reached through its directory.
  package var unixSocketPath: String?

  package init(
    method: HTTPMethod = .get, url: String, fields: [HTTPField] = [], body: [UInt8] = []
  ) {
    self.method = method
    self.url = url
    self.fields = fields
    self.body = body
  }
}

/// Why an exchange did not end well. An answer with a status of 400 or above is no failure here.
package enum TransportFailure: Error, Equatable, Sendable {
  package enum Phase: String, Sendable { case connect, firstByte, idle, total }

  /// The request itself cannot be sent: its URL, method or fields are wrong.
  case requestInvalid(String)
  /// Nobody listens there, or there is no way to it.
  case unreachable(String)
  /// The host's name has no address.
  case nameUnknown(String)
  /// No trusted TLS connection.
  case untrusted(String)
  case timeout(Phase)
  /// The connection ended before the answer did.
  case cut(String)
  /// What came is no HTTP, or over a limit.
  case protocolViolation(String)
}

/// What an exchange tells its owner, on the loop's thread. `onHead` comes once, then any number of
/// `onBody`, then `onEnd`; after `cancel()` or `onEnd` nothing more.
package struct HTTPResponseEvents {
  package var onHead: (_ status: Int, _ fields: HTTPFields) -> Void
  /// The bytes are valid during the call only.
  package var onBody: (UnsafeRawBufferPointer) -> Void
  package var onEnd: (Result<Void, TransportFailure>) -> Void

  package init(
    onHead: @escaping (_ status: Int, _ fields: HTTPFields) -> Void,
    onBody: @escaping (UnsafeRawBufferPointer) -> Void,
    onEnd: @escaping (Result<Void, TransportFailure>) -> Void
  ) {
    self.onHead = onHead
    self.onBody = onBody
    self.onEnd = onEnd
  }
}

/// The port through which this program asks other HTTP servers. Answers are streamed, never
/// collected; redirects are not followed; proxies of the environment are ignored.
package protocol HTTPTransport: AnyObject {
  /// Starts an exchange; its events come later, never from inside this call. Cancelling closes
  /// the connection at once.
  @discardableResult
  func start(_ request: HTTPClientRequest, _ events: HTTPResponseEvents) -> any Cancellable
}
