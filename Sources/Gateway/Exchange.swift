import Base
import Events
import HTTP
import Observability

/// One request on its way to its answer. Whoever will answer later keeps it; dropped without an
/// answer, the server says 500.
final class Exchange {
  /// Characters of a request target that are logged.
  private static let targetLoggedMax = 200

  let trace: TraceContext
  /// Who asks; set before the route is served.
  let principal: Principal
  /// The open parts of the route's pattern, once it is found.
  var parameters: RouteParameters?
  private let request: HTTPRequest
  private let responder: HTTPResponder
  private let context: GatewayContext

  init(_ request: HTTPRequest, _ responder: HTTPResponder, _ context: GatewayContext) {
    self.request = request
    self.responder = responder
    self.context = context
    trace = context.traces.context(traceparent: request.fields["traceparent"])
    principal = AuthenticationService.principal(of: request)
  }

  var fields: HTTPFields { request.fields }
  var target: RequestTarget { request.target }
  var log: Logger { context.services.log }
  /// HEAD: nobody waits for a body, and a stream would only hold the connection.
  var isHeadOnly: Bool { request.method == .head }

  func withBody<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    request.body.withUnsafeBytes(body)
  }

  /// The path's segment where the route's pattern has `{name}`.
  func parameter(_ name: String) -> String {
    guard let parameters else { preconditionFailure("the request has not been routed") }
    return parameters[name]
  }

  /// For operations without input.
  func requireEmptyBody() throws(Problem) {
    let result = withBody { bytes -> Result<Void, Problem> in
      do throws(Problem) {
        return .success(try RequestBody.requireEmpty(bytes))
      } catch {
        return .failure(error)
      }
    }
    try result.get()
  }

  /// `POST /v1/turns`, cut where somebody sends a novel.
  private var what: String {
    "\(request.method) \(request.head.targetText.prefix(Self.targetLoggedMax))"
  }
}

// MARK: - Whole answers

extension Exchange {
  func answer(_ status: Int, _ json: JSON, _ fields: [HTTPField] = []) {
    answer(status, json.encoded, type: MediaTypes.json, fields)
  }

  func answer(_ status: Int, _ body: [UInt8], type: String, _ fields: [HTTPField] = []) {
    logAccess(status)
    responder.respond(
      HTTPResponse(
        status: status,
        fields: [HTTPField("Content-Type", type), HTTPField("Cache-Control", "no-store")] + fields,
        body: body))
  }

  /// Answers with what a service said.
  func answer<Value>(_ result: Result<Value, Problem>, _ shape: (Value) -> (Int, JSON)) {
    switch result {
    case .failure(let problem): refuse(problem)
    case .success(let value):
      let (status, json) = shape(value)
      answer(status, json)
    }
  }

  /// 204.
  func answerNothing() {
    logAccess(204)
    responder.respond(HTTPResponse(status: 204, fields: [HTTPField("Cache-Control", "no-store")]))
  }

  func refuse(_ problem: Problem, _ fields: [HTTPField] = []) {
    let document = ProblemDocument(problem, traceID: trace.traceID)
    context.refused(document, problem, traceID: trace.traceID, what)
    responder.respond(document.response(fields))
  }

  private func logAccess(_ status: Int) {
    log.debug(
      "request", trace: trace.traceID,
      ["request": .string(what), "status": .int(Int64(status))])
  }
}

// MARK: - Streams

extension Exchange {
  var onClientGone: ((ClientGone) -> Void)? {
    get { responder.onClientGone }
    set { responder.onClientGone = newValue }
  }
  var onDrained: (() -> Void)? {
    get { responder.onDrained }
    set { responder.onDrained = newValue }
  }
  /// Whether an answer can still be given.
  var isOpen: Bool { responder.isOpen }
  /// Bytes that the client has not taken.
  var queuedBytes: Int { responder.queuedBytes }

  func beginEvents(_ fields: [HTTPField]) {
    logAccess(200)
    responder.beginEvents(fields: fields)
  }

  func begin(type: String) {
    logAccess(200)
    responder.begin(
      status: 200,
      fields: [HTTPField("Content-Type", type), HTTPField("Cache-Control", "no-store")])
  }

  /// False when the client is gone, also for being too slow.
  @discardableResult
  func write(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes { responder.write($0) } }

  func end() { responder.end() }
  func abort() { responder.abort() }
}

extension ProblemDocument {
  func response(_ fields: [HTTPField] = []) -> HTTPResponse {
    var all = [HTTPField("Content-Type", Self.contentType), HTTPField("Cache-Control", "no-store")]
    if let retryAfterSeconds { all.append(HTTPField("Retry-After", "\(retryAfterSeconds)")) }
    return HTTPResponse(status: status, fields: all + fields, body: body)
  }
}
