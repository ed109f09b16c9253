import Base
import Events
import HTTP
import Observability
package import UringIO

/// The node's HTTP side: turns in, events out, and what people look at. Lives on its loop.
package final class GatewayServer {
  /// How long answers in progress may take to leave when the server stops.
  private static let stopGrace = Nanoseconds.milliseconds(500)

  /// Names the node answers to; may change while it runs.
  package var accessRules: AccessRules
  /// Where it listens over TCP, with the real port.
  package private(set) var address: SocketAddress?

  private let loop: EventLoop
  private let context: GatewayContext
  private let server: HTTPServer
  private var router = Router<GatewayRoute>()

  package init(loop: EventLoop, services: GatewayServices, options: GatewayOptions = .init()) {
    self.loop = loop
    let context = GatewayContext(services: services, options: options, timers: loop)
    self.context = context
    accessRules = AccessRules(
      allowedHosts: options.allowedHosts, allowedOrigins: options.allowedOrigins)
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
    registerMetrics()
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

  private func registerMetrics() {
    let collector = context.services.metrics.collector
    let statistics = server.statistics
    func counter(_ name: String, _ help: String, _ value: Counter) {
      collector.counter(MetricDescription(name, help)) { [MetricSample([], Double(value.value))] }
    }
    counter("kfm_http_connections_total", "Connections accepted.", statistics.connections)
    counter("kfm_http_requests_total", "Requests read.", statistics.requests)
    counter(
      "kfm_streams_overrun_total", "Streams cut because their client was too slow.",
      statistics.slowClients)
    collector.gauge(MetricDescription("kfm_http_connections_open", "Connections open now.")) {
      [MetricSample([], Double(statistics.connectionsOpen.value))]
    }
    collector.gauge(MetricDescription("kfm_streams_open", "Event streams open now.")) { [context] in
      [MetricSample([], Double(context.streamCount))]
    }
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
