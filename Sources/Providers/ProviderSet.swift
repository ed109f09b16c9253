package import Events

/// The providers of one configuration, and the routes over them. Replaced as a whole on reload;
/// calls that run keep the one they began with.
package final class ProviderSet {
  package struct Entry {
    package var provider: any ModelProvider
    package var prices: [String: ModelPrices]

    package init(provider: any ModelProvider, prices: [String: ModelPrices] = [:]) {
      self.provider = provider
      self.prices = prices
    }
  }

  /// One model that can be called.
  package struct Candidate {
    package var provider: any ModelProvider
    package var model: String
    /// Nil when unknown.
    package var prices: ModelPrices?

    package var qualifiedName: String { "\(provider.name)/\(model)" }
  }

  /// The route of packs that name none.
  package static let defaultRoute = "default"

  package let entries: [Entry]
  private let routes: [String: RouteOptions]

  package init(entries: [Entry], routes: [RouteOptions]) {
    self.entries = entries
    self.routes = Dictionary(routes.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// `provider/model`, where the model's own name may hold slashes; nil when it is not configured.
  package func candidate(_ qualifiedName: String) -> Candidate? {
    guard let slash = qualifiedName.firstIndex(of: "/") else { return nil }
    let name = qualifiedName[..<slash]
    let model = String(qualifiedName[qualifiedName.index(after: slash)...])
    guard let entry = entries.first(where: { $0.provider.name == name }),
      entry.provider.models.contains(model)
    else { return nil }
    return Candidate(provider: entry.provider, model: model, prices: entry.prices[model])
  }

  /// What a request may call, in order: the named model alone, or the route's. Empty when there
  /// is no such model or route.
  package func candidates(model: String?, route: String) -> [Candidate] {
    if let model { return candidate(model).map { [$0] } ?? [] }
    if let options = routes[route] { return options.use.compactMap { candidate($0) } }
    guard route == Self.defaultRoute, let first = entries.first,
      let model = first.provider.models.first
    else { return [] }
    return candidate("\(first.provider.name)/\(model)").map { [$0] } ?? []
  }

  package func fallbackCodes(route: String) -> Set<ErrorCode> {
    routes[route]?.fallbackCodes ?? []
  }

  /// Providers that some route can use.
  package var routed: [any ModelProvider] {
    let names = Set(routes.keys).union([Self.defaultRoute])
    let used = Set(
      names.flatMap { candidates(model: nil, route: $0) }.map { ObjectIdentifier($0.provider) })
    return entries.map(\.provider).filter { used.contains(ObjectIdentifier($0)) }
  }

  /// Ends the providers that `successor` does not go on with.
  package func stop(except successor: ProviderSet?) {
    let kept = Set((successor?.entries ?? []).map { ObjectIdentifier($0.provider) })
    for entry in entries where !kept.contains(ObjectIdentifier(entry.provider)) {
      entry.provider.stop()
    }
  }
}
