import Base
import Events
import HTTP

/// The bus as `kfm topics` and `kfm lag` show it.
final class AdminRoutes {
  private let context: GatewayContext

  init(_ context: GatewayContext) { self.context = context }

  func register(_ router: inout Router<GatewayRoute>) {
    router.add(.get, "/v1/admin/topics", GatewayRoute(topics))
    router.add(.get, "/v1/admin/topics/{stream}/{topic}/records", GatewayRoute(records))
    router.add(.get, "/v1/admin/lag", GatewayRoute(lag))
  }

  private func topics(_ exchange: Exchange) throws(Problem) {
    _ = try QueryReader(exchange.target)
    exchange.answer(200, ["items": .array(context.services.bus.topics().map(\.json))])
  }

  private func lag(_ exchange: Exchange) throws(Problem) {
    _ = try QueryReader(exchange.target)
    context.services.bus.lag { result in
      exchange.answer(result) { (200, ["items": .array($0.map(\.json))]) }
    }
  }

  /// `?from=first|last|OFFSET&count=N&follow=true`: one JSON object a line, as they come.
  private func records(_ exchange: Exchange) throws(Problem) {
    let path = "\(exchange.parameter("stream"))/\(exchange.parameter("topic"))"
    guard let topic = Topic(path: path) else {
      throw Problem(.routeNotFound, "there is no topic '\(path)'; `kfm topics list` has them")
    }
    let query = try QueryReader(exchange.target, names: "from", "count", "follow")
    let request = TailRequest(
      topic: topic, start: try query.tailStart("from") ?? .first,
      countMax: try query.integer("count", in: 1...Int.max), follows: try query.flag("follow"))
    RecordStream(exchange: exchange, context: context).begin(request)
  }
}
