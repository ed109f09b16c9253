extension ProviderFactory {
  /// A wrong table: `path` in the configuration's way (`providers[0].base_url`), what is wrong, and
  /// what is expected.
  package struct Problem: Hashable, Sendable {
    package var path: String
    package var detail: String
  }

  /// Everything that is wrong with the tables, as far as one table or the connection between them
  /// is concerned; ranges of single values are the configuration's business.
  package static func problems(
    in providers: [ProviderOptions], routes: [RouteOptions]
  ) -> [Problem] {
    var found: [Problem] = []
    var names = Set<String>()
    for (index, options) in providers.enumerated() {
      let path = "providers[\(index)]"
      if options.name.isEmpty || options.name.contains("/") {
        found.append(Problem(path: "\(path).name", detail: "expected a name without '/'"))
      } else if !names.insert(options.name).inserted {
        found.append(Problem(path: "\(path).name", detail: "another provider has this name"))
      }
      found += problems(in: options, path: path)
    }
    for (index, route) in routes.enumerated() {
      found += problems(in: route, path: "routes[\(index)]", providers: providers)
    }
    return found
  }

  private static func problems(in options: ProviderOptions, path: String) -> [Problem] {
    guard options.kind == .openai else { return [] }
    var found: [Problem] = []
    if ProviderURL(options.baseURL) == nil {
      let detail = "expected http:// or https:// with a host, without user, query or fragment"
      found.append(Problem(path: "\(path).base_url", detail: detail))
    }
    if options.models.isEmpty || options.models.contains("") {
      found.append(Problem(path: "\(path).models", detail: "expected at least one model's name"))
    }
    return found
  }

  private static func problems(
    in route: RouteOptions, path: String, providers: [ProviderOptions]
  ) -> [Problem] {
    guard !route.use.isEmpty else {
      return [Problem(path: "\(path).use", detail: "expected at least one \"provider/model\"")]
    }
    return route.use.enumerated().compactMap { position, name in
      let slash = name.firstIndex(of: "/") ?? name.endIndex
      let options = providers.first { $0.name == name[..<slash] }
      let model = String(name[slash...].dropFirst())
      // Kinds with a model of their own need no list.
      if let options, options.models.contains(model) || options.models.isEmpty { return nil }
      return Problem(
        path: "\(path).use[\(position)]", detail: "\(name) is no configured provider/model")
    }
  }
}
