import Base
import Events
import HTTP
import Observability

/// `/v1/turns` and what belongs to one turn.
final class TurnRoutes {
  /// Items of a list when the client does not say, and at most.
  static let listDefault = 20
  static let listMax = 100
  /// What a client is told to wait while the node drains: another start takes about as long.
  static let drainRetrySeconds = 5

  private let context: GatewayContext
  private let decoder: TurnRequestDecoder
  private var turns: any TurnService { context.services.turns }

  init(_ context: GatewayContext) {
    self.context = context
    decoder = TurnRequestDecoder(
      personalities: context.services.personalities, providers: context.services.providers)
  }

  func register(_ router: inout Router<GatewayRoute>) {
    router.add(.post, "/v1/turns", GatewayRoute(create))
    router.add(.get, "/v1/turns", GatewayRoute(list))
    router.add(.get, "/v1/turns/{id}", GatewayRoute(show))
    router.add(.get, "/v1/turns/{id}/events", GatewayRoute(events))
    router.add(.post, "/v1/turns/{id}/cancel", GatewayRoute(cancel))
  }

  // MARK: POST /v1/turns

  private func create(_ exchange: Exchange) throws(Problem) {
    guard !context.services.health.isDraining else {
      throw Problem(
        .nodeDraining, "the node is shutting down; ask again after its restart",
        retryAfterSeconds: Self.drainRetrySeconds)
    }
    let submission = try submission(of: exchange)
    let isStream = MediaTypes.wantsEventStream(exchange.fields)
    turns.submit(submission) { result in
      switch result {
      case .failure(let problem): exchange.refuse(problem)
      case .success(let admission):
        if isStream {
          self.stream(admission, exchange)
        } else {
          self.accept(admission, exchange)
        }
      }
    }
  }

  private func submission(of exchange: Exchange) throws(Problem) -> TurnSubmission {
    let now = context.services.clock.wall()
    let keys = exchange.fields.values("idempotency-key")
    let result = exchange.withBody { body -> Result<TurnSubmission, Problem> in
      let request = TurnRequest(
        principal: exchange.principal, traceID: exchange.trace.traceID, idempotencyKeys: keys,
        body: body)
      do throws(Problem) {
        return .success(try decoder.decode(request, now: now))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  /// 202: the turn is durable (SEMANTICS D11, B1) and has exactly one end.
  private func accept(_ admission: TurnAdmission, _ exchange: Exchange) {
    let location = "/v1/turns/\(admission.turnID)"
    exchange.answer(
      202,
      [
        "turn_id": .string(admission.turnID.description),
        "session_id": .string(admission.sessionID), "status": "queued",
        "links": ["self": .string(location), "events": .string(location + "/events")],
      ], [HTTPField("Location", location)] + replayFields(admission))
  }

  private func stream(_ admission: TurnAdmission, _ exchange: Exchange) {
    guard exchange.isOpen else { return clientGone(admission, exchange) }
    let stream = TurnStream(exchange: exchange, context: context)
    stream.onClientGone = { [weak self] in self?.clientGone(admission, exchange) }
    stream.attach(admission.turnID, after: nil, fields: replayFields(admission))
  }

  /// Who asked for the stream has closed the connection; the policy says whether the turn goes on.
  private func clientGone(_ admission: TurnAdmission, _ exchange: Exchange) {
    guard context.options.cancelsOnDisconnect else { return }
    turns.cancel(
      admission.turnID, for: exchange.principal, traceID: exchange.trace.traceID
    ) { _ in }
  }

  private func replayFields(_ admission: TurnAdmission) -> [HTTPField] {
    admission.replayed ? [HTTPField("Idempotency-Replayed", "true")] : []
  }

  // MARK: One turn

  private func show(_ exchange: Exchange) throws(Problem) {
    _ = try QueryReader(exchange.target)
    turns.turn(try turnID(exchange), for: exchange.principal) { result in
      exchange.answer(result) { (200, $0.json) }
    }
  }

  private func events(_ exchange: Exchange) throws(Problem) {
    _ = try QueryReader(exchange.target)
    let turnID = try turnID(exchange)
    let stream = TurnStream(exchange: exchange, context: context)
    stream.attach(turnID, after: exchange.fields["last-event-id"])
  }

  private func cancel(_ exchange: Exchange) throws(Problem) {
    let turnID = try turnID(exchange)
    try exchange.requireEmptyBody()
    turns.cancel(turnID, for: exchange.principal, traceID: exchange.trace.traceID) { result in
      exchange.answer(result) { ($0.hadEnded ? 200 : 202, $0.resource.json) }
    }
  }

  /// What is no turn id names no turn.
  private func turnID(_ exchange: Exchange) throws(Problem) -> ULID {
    guard let id = ULID(exchange.parameter("id")) else {
      throw Problem(.turnNotFound, "there is no such turn")
    }
    return id
  }

  // MARK: GET /v1/turns

  private func list(_ exchange: Exchange) throws(Problem) {
    let query = try QueryReader(exchange.target, names: "limit", "cursor")
    let limit = try query.integer("limit", in: 1...Self.listMax) ?? Self.listDefault
    let cursor = try query.turnID("cursor")
    // One more than is shown says whether there is a next page.
    turns.turns(for: exchange.principal, limit: limit + 1, before: cursor) { result in
      exchange.answer(result) { turns in
        var page: JSONObject = ["items": .array(turns.prefix(limit).map(\.json))]
        if turns.count > limit {
          page["next_cursor"] = .string(turns[limit - 1].turnID.description)
        }
        return (200, .object(page))
      }
    }
  }
}
