package import Base
package import UringIO

/// The transport of a program: `https` goes through libcurl, which is loaded only then; plain HTTP
/// and unix sockets through the loop's own sockets.
package final class NodeTransport: HTTPTransport {
  private let plain: PlainTransport
  private let secure: CurlTransport

  package init(loop: EventLoop) {
    plain = PlainTransport(loop: loop)
    secure = CurlTransport(loop: loop)
  }

  package func start(
    _ request: HTTPClientRequest, _ events: HTTPResponseEvents
  ) -> any Cancellable {
    let isSecure = HTTPURL(request.url)?.isSecure == true
    return isSecure ? secure.start(request, events) : plain.start(request, events)
  }

  /// Gives up all exchanges without a word, and closes all connections.
  package func close() {
    plain.close()
    secure.close()
  }
}
