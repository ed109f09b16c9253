import Base
import Events
import HTTP

/// `/v1/sessions` and `/v1/personalities`.
final class SessionRoutes {
  private let context: GatewayContext

  init(_ context: GatewayContext) { self.context = context }

  func register(_ router: inout Router<GatewayRoute>) {
    router.add(.get, "/v1/sessions/{id}", GatewayRoute(show))
    router.add(.get, "/v1/sessions/{id}/history", GatewayRoute(history))
    router.add(.get, "/v1/personalities", GatewayRoute(personalities))
  }

  private func history(_ exchange: Exchange) throws(Problem) {
    try read(exchange) { _, items in ["items": .array(items.map(\.json))] }
  }

  private func show(_ exchange: Exchange) throws(Problem) {
    try read(exchange) { sessionID, items in
      var session: JSONObject = [
        "session_id": .string(sessionID),
        "turns": .int(Int64(Set(items.map(\.turnID)).count)),
      ]
      if let first = items.first, let last = items.last {
        session["created_at"] = .string(first.createdAt.rfc3339)
        session["updated_at"] = .string(last.createdAt.rfc3339)
      }
      return .object(session)
    }
  }

  private func read(
    _ exchange: Exchange, _ shape: @escaping (_ sessionID: String, [HistoryItem]) -> JSON
  ) throws(Problem) {
    _ = try QueryReader(exchange.target)
    let sessionID = exchange.parameter("id")
    context.services.turns.history(session: sessionID, for: exchange.principal) { result in
      exchange.answer(result) { (200, shape(sessionID, $0)) }
    }
  }

  /// Those that serve; `kfm packs list` shows the refused ones too.
  private func personalities(_ exchange: Exchange) throws(Problem) {
    _ = try QueryReader(exchange.target)
    let rows = context.services.personalities.statuses().filter { $0.refusal == nil }
    let items = rows.map { row -> JSON in
      [
        "personality_id": .string(row.id), "name": .string(row.name),
        "version": .string(row.version), "description": .string(row.description),
        "digest": .string(row.digest), "status": "ok",
      ]
    }
    exchange.answer(200, ["items": .array(items)])
  }
}
