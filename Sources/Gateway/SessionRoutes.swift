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

  private static let historyDefault = 100
  private static let historyMax = 1_000

  private func history(_ exchange: Exchange) throws(Problem) {
    let query = try QueryReader(exchange.target, names: "limit", "cursor")
    let limit = try query.integer("limit", in: 1...Self.historyMax) ?? Self.historyDefault
    let cursor = try query.turnID("cursor")
    context.services.turns.history(
      session: exchange.parameter("id"), for: exchange.principal, limit: limit, after: cursor
    ) { result in
      exchange.answer(result) { history in
        var page: JSONObject = ["items": .array(history.items.map(\.json))]
        page["next_cursor"] = history.nextCursor.map { .string($0.description) }
        return (200, .object(page))
      }
    }
  }

  private func show(_ exchange: Exchange) throws(Problem) {
    _ = try QueryReader(exchange.target)
    let sessionID = exchange.parameter("id")
    context.services.turns.session(sessionID, for: exchange.principal) { result in
      exchange.answer(result) { (200, $0.json) }
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
