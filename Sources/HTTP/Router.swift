/// The parts of a path that a pattern left open, by their names.
package struct RouteParameters: Equatable, Sendable {
  let names: [String]
  let values: [String]

  /// The decoded segment that stood where the pattern has `{name}`. Asking for a name that the
  /// pattern does not have is a mistake of the caller.
  package subscript(name: String) -> String {
    guard let index = names.firstIndex(of: name) else {
      preconditionFailure("the route's pattern has no {\(name)}")
    }
    return values[index]
  }
}

/// What the table says about a request.
package enum RouteMatch<Handler> {
  case found(Handler, RouteParameters)
  /// The path is known, not with this method; the methods it has, sorted, for `Allow`.
  case methodNotAllowed([String])
  case notFound
}

/// Finds the handler of a method and path. Patterns are paths whose segments are literal or one
/// `{name}`, which takes any one segment that is not empty; where both fit, the literal wins.
package struct Router<Handler> {
  private enum Segment: Equatable {
    case literal(String)
    case parameter
  }

  private struct Route {
    var segments: [Segment]
    var names: [String]
    var handlers: [HTTPMethod: Handler]
  }

  /// By their number of segments; within it literals come before parameters.
  private var routes: [Int: [Route]] = [:]

  package init() {}

  /// Adds a route. A pattern and method given twice is a mistake of the caller.
  package mutating func add(_ method: HTTPMethod, _ pattern: String, _ handler: Handler) {
    let (segments, names) = Self.parse(pattern)
    var list = routes[segments.count] ?? []
    if let index = list.firstIndex(where: { $0.segments == segments }) {
      precondition(list[index].handlers[method] == nil, "\(method) \(pattern) is there already")
      precondition(list[index].names == names, "\(pattern) names its parameters in two ways")
      list[index].handlers[method] = handler
    } else {
      let place = list.firstIndex { Self.precedes(segments, $0.segments) } ?? list.count
      list.insert(Route(segments: segments, names: names, handlers: [method: handler]), at: place)
    }
    routes[segments.count] = list
  }

  /// HEAD is served by GET's handler where it has none of its own.
  package func find(_ method: HTTPMethod, _ path: [String]) -> RouteMatch<Handler> {
    var allowed: Set<String> = []
    for route in routes[path.count] ?? [] where Self.matches(route.segments, path) {
      let handler = route.handlers[method] ?? (method == .head ? route.handlers[.get] : nil)
      if let handler {
        return .found(
          handler, RouteParameters(names: route.names, values: Self.values(route.segments, path)))
      }
      for method in route.handlers.keys { allowed.insert(method.name) }
      if route.handlers[.get] != nil { allowed.insert(HTTPMethod.head.name) }
    }
    return allowed.isEmpty ? .notFound : .methodNotAllowed(allowed.sorted())
  }

  private static func parse(_ pattern: String) -> ([Segment], [String]) {
    precondition(pattern.hasPrefix("/"), "a pattern starts with a slash")
    var names: [String] = []
    let parts = pattern.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
    let segments = parts.map { part -> Segment in
      guard part.hasPrefix("{"), part.hasSuffix("}") else { return .literal(String(part)) }
      names.append(String(part.dropFirst().dropLast()))
      return .parameter
    }
    return (segments, names)
  }

  /// True when `left` is the more literal one at the first place where the two differ in kind.
  private static func precedes(_ left: [Segment], _ right: [Segment]) -> Bool {
    for (one, other) in zip(left, right) where (one == .parameter) != (other == .parameter) {
      return other == .parameter
    }
    return false
  }

  private static func matches(_ segments: [Segment], _ path: [String]) -> Bool {
    for (segment, part) in zip(segments, path) {
      switch segment {
      case .literal(let text): if text != part { return false }
      case .parameter: if part.isEmpty { return false }
      }
    }
    return true
  }

  private static func values(_ segments: [Segment], _ path: [String]) -> [String] {
    zip(segments, path).compactMap { $0 == .parameter ? $1 : nil }
  }
}
