import HTTP
import Testing

// Contract: a path finds the most literal pattern that fits; a known path with an unknown method
// names the methods it has; HEAD goes to GET.

private func table() -> Router<String> {
  var router = Router<String>()
  router.add(.post, "/v1/turns", "create")
  router.add(.get, "/v1/turns", "list")
  router.add(.get, "/v1/turns/{id}", "show")
  router.add(.get, "/v1/turns/{id}/events", "events")
  router.add(.post, "/v1/turns/{turn}/inputs/{name}", "input")
  router.add(.get, "/v1/turns/latest", "latest")
  router.add(.delete, "/v1/sessions/{id}", "forget")
  router.add(.get, "/", "root")
  return router
}

private func found(_ method: HTTPMethod, _ path: [String], _ parameters: String...) -> String? {
  guard case .found(let handler, let values) = table().find(method, path) else { return nil }
  return ([handler] + parameters.map { values[$0] }).joined(separator: " ")
}

@Suite struct RouterTests {
  @Test func findsLiteralsBeforeParameters() {
    #expect(found(.post, ["v1", "turns"]) == "create")
    #expect(found(.get, ["v1", "turns"]) == "list")
    #expect(found(.get, ["v1", "turns", "latest"]) == "latest")
    #expect(found(.get, ["v1", "turns", "x/../y"], "id") == "show x/../y")
    #expect(found(.get, ["v1", "turns", "latest", "events"], "id") == "events latest")
    #expect(found(.post, ["v1", "turns", "a", "inputs", "b"], "turn", "name") == "input a b")
    #expect(found(.get, [""]) == "root")
  }

  @Test func headIsGet() {
    #expect(found(.head, ["v1", "turns"]) == "list")
    #expect(found(.head, ["v1", "sessions", "s"]) == nil)
  }

  @Test func otherMethodsAreNamed() {
    guard case .methodNotAllowed(let allowed) = table().find(.delete, ["v1", "turns"]) else {
      Issue.record("found")
      return
    }
    #expect(allowed == ["GET", "HEAD", "POST"])
    guard case .methodNotAllowed(let one) = table().find(.get, ["v1", "sessions", "s"]) else {
      Issue.record("found")
      return
    }
    #expect(one == ["DELETE"])
  }

  @Test(arguments: [
    [], ["v1"], ["v1", "turns", ""], ["v1", "turns", "a", "events", ""], ["V1", "turns"],
    ["", "v1", "turns"],
  ])
  func unknownPathsAreNotFound(_ path: [String]) {
    guard case .notFound = table().find(.get, path) else {
      Issue.record("\(path) was found")
      return
    }
  }
}
