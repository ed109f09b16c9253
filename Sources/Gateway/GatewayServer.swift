import Base
import Events
import HTTP
import Observability
package import UringIO

/// The node's HTTP side: turns in, events out, and what people look at. Lives on its loop.
package final class GatewayServer {
  /// How long answers in progress may take to leave when the server stops.
  private static let stopGrace = Nanoseconds.milliseconds(500)

  /// Where it listens over TCP, with the real port.
  package private(set) var address: SocketAddress?

  private let loop: EventLoop
  private let context: GatewayContext
  private let server: HTTPServer
  private var router = Router<GatewayRoute>()
  private var accessRules = AccessRules()

  package init(loop: EventLoop, services: GatewayServices, options: GatewayOptions = .init()) {
    self.loop = loop
    let context = GatewayContext(services: services, options: options, timers: loop)
    self.context = context
    var limits = HTTPLimits()
    limits.bodyBytesMax = options.bodyBytesMax
    // The server is made before its handler can name self.
    let entry = Entry()
    server = HTTPServer(
      loop: loop, limits: limits,
      formatFailure: { failure, head in Self.answer(to: failure, head, context) },
      handler: { request, responder in entry.gateway?.handle(request, responder) })
    entry.gateway = self
    TurnRoutes(context).register(&router)
    SessionRoutes(context).register(&router)
    NodeRoutes(context).register(&router)
    AdminRoutes(context).register(&router)
    let collector = services.metrics.collector
    HTTPMetrics.register(server.statistics, with: collector)
    collector.gauge(MetricDescription("kfm_streams_open", "Streams open now.")) {
      [weak context] in [MetricSample([], Double(context?.streamCount ?? 0))]
    }
  }

  private final class Entry {
    weak var gateway: GatewayServer?
  }

  /// Listens on `listen`, and for the command line on a socket file of mode 0600.
  package func start(listen: SocketAddress, unixSocketPath: String? = nil) throws(IOFailure) {
    do throws(IOFailure) {
      address = try server.listen(on: listen)
      if let unixSocketPath { try server.listen(on: .unix(path: unixSocketPath)) }
    } catch {
      server.close()
      throw error
    }
    allow(hosts: context.options.allowedHosts, origins: context.options.allowedOrigins)
  }

  /// Sets the names the node answers to, beside the loopback names and the address it listens on;
  /// may change while it runs.
  package func allow(hosts: [String], origins: [String]) {
    let own =
      switch address {
      case .ipv4(let host, _): [host]
      case .ipv6(let host, _): ["[\(host)]"]
      default: [String]()
      }
    accessRules = AccessRules(allowedHosts: hosts + own, allowedOrigins: origins + own)
  }

  /// No new turns from now on; streams and reads go on.
  package func beginDrain() { context.services.health.beginDrain() }

  /// Cuts streams that have not ended, lets answers in progress leave, closes everything, then
  /// calls `completion`.
  package func stop(_ completion: @escaping () -> Void) {
    var completion: (() -> Void)? = completion
    func finish() {
      let body = completion
      completion = nil
      body?()
    }
    context.cutStreams()
    let grace = loop.schedule(after: Self.stopGrace) { [server] in
      server.close()
      finish()
    }
    server.drain {
      grace.cancel()
      finish()
    }
  }
}

// MARK: - Requests

extension GatewayServer {
  private func handle(_ request: HTTPRequest, _ responder: HTTPResponder) {
    let exchange = Exchange(request, responder, context)
    do throws(Problem) {
      try checkAccess(request)
      switch router.find(request.method, request.path) {
      case .found(let route, let parameters):
        try checkContentType(request)
        exchange.parameters = parameters
        try route.serve(exchange)
      case .methodNotAllowed(let methods):
        let problem = Problem(
          .methodNotAllowed, "the route takes \(methods.joined(separator: ", "))")
        exchange.refuse(problem, [HTTPField("Allow", methods.joined(separator: ", "))])
      case .notFound:
        throw Problem(.routeNotFound, "this version has no such route")
      }
    } catch {
      exchange.refuse(error)
    }
  }

  private func checkAccess(_ request: HTTPRequest) throws(Problem) {
    guard !request.isLocalSocket else { return }
    guard let host = request.target.authority ?? request.fields["host"] else {
      throw Problem(.requestMalformed, "the request has no Host header")
    }
    let refusal = accessRules.refusal(host: host, origins: request.fields.values("origin"))
    if let refusal { throw refusal }
  }

  private func checkContentType(_ request: HTTPRequest) throws(Problem) {
    guard !request.body.isEmpty, request.method == .post, !MediaTypes.isJSON(request.fields) else {
      return
    }
    throw Problem(
      .contentTypeUnsupported, "the body has to be sent as Content-Type: \(MediaTypes.json)")
  }

  /// A request that was refused before it became one.
  private static func answer(
    to failure: RequestFailure, _ head: RequestHead?, _ context: GatewayContext
  ) -> HTTPResponse {
    let trace = context.traces.context(traceparent: head?.fields["traceparent"])
    let problem = Problem(failure.code, failure.detail)
    let document = ProblemDocument(problem, traceID: trace.traceID)
    context.refused(document, problem, traceID: trace.traceID, head.map { "\($0.method)" } ?? "?")
    return document.response()
  }
}

extension RequestFailure {
  fileprivate var code: ErrorCode {
    switch self {
    case .malformed: .requestMalformed
    case .headersTooLarge: .headersTooLarge
    case .bodyTooLarge: .bodyTooLarge
    case .timeout: .requestTimeout
    case .overloaded: .overloaded
    case .unanswered: .internal
    }
  }
}
