import Base
import Events
import Observability

/// What all exchanges of a gateway share.
final class GatewayContext {
  let services: GatewayServices
  let options: GatewayOptions
  let timers: any TimerService
  let traces: TraceManager
  private var streams: [ObjectIdentifier: any OpenStream] = [:]

  init(services: GatewayServices, options: GatewayOptions, timers: any TimerService) {
    self.services = services
    self.options = options
    self.timers = timers
    traces = TraceManager(random: services.random)
  }

  var streamCount: Int { streams.count }

  func opened(_ stream: any OpenStream) { streams[ObjectIdentifier(stream)] = stream }

  func closed(_ stream: any OpenStream) { streams[ObjectIdentifier(stream)] = nil }

  /// Cuts what would otherwise go on without end; the clients can resume elsewhere.
  func cutStreams() {
    for stream in streams.values { stream.cut() }
  }

  /// Counts a refusal, and logs it under its trace.
  func refused(_ document: ProblemDocument, _ problem: Problem, traceID: String, _ what: String) {
    services.metrics.requestsRefused[document.code.rawValue].add()
    let fields: JSONObject = [
      "request": .string(what), "status": .int(Int64(document.status)),
      "code": .string(document.code.rawValue), "detail": .string(problem.detail),
    ]
    if document.status >= 500 {
      services.log.warning("request refused", trace: traceID, fields)
    } else {
      services.log.info("request refused", trace: traceID, fields)
    }
  }
}

/// An answer that goes on.
protocol OpenStream: AnyObject {
  /// Ends it as if the connection had broken.
  func cut()
}

/// How a route is served; what it throws becomes the answer.
struct GatewayRoute {
  let serve: (Exchange) throws(Problem) -> Void

  init(_ serve: @escaping (Exchange) throws(Problem) -> Void) { self.serve = serve }
}
