import Events
import Gateway
import Testing

/// Contract: over TCP a node in local mode answers to its own names only (SURFACE, "Start, stop,
/// local access"). It cannot show what browsers send.
@Suite struct AccessRulesTests {
  private let rules = AccessRules(
    allowedHosts: ["kfm.Example:8080"],
    allowedOrigins: ["https://app.example:444", "pages.example"])

  @Test(arguments: [
    "localhost", "localhost:8080", "LOCALHOST", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:80",
    "kfm.example", "KFM.example:9", "localhost:",
  ])
  func answersToItsNames(host: String) {
    #expect(rules.refusal(host: host, origins: []) == nil)
  }

  @Test(arguments: [
    "", ":80", "evil.example", "localhost.evil.example", "localhost@evil.example",
    "localhost:80@evil.example", "localhost:8o", "127.0.0.2", "127.0.0.1.evil.example", "::1",
    "[::2]", "[::1", "[::1]x", "[]", "localhost ", "localhost.", "http://localhost", "0.0.0.0",
    "app.example", "localhost,localhost",
  ])
  func refusesAForeignHost(host: String) {
    #expect(rules.refusal(host: host, origins: [])?.code == .hostForbidden)
  }

  @Test(arguments: [
    "http://localhost", "http://localhost:5173", "https://127.0.0.1:1", "http://[::1]:3000",
    "HTTPS://APP.example", "https://app.example:1", "http://pages.example",
    "https://pages.example:8443",
  ])
  func admitsItsOrigins(origin: String) {
    #expect(rules.refusal(host: "localhost", origins: [origin]) == nil)
  }

  @Test(arguments: [
    "null", "", "localhost", "http://", "http://evil.example", "http://app.example",
    "http://localhost.evil.example", "http://localhost@evil.example", "file://",
    "http://kfm.example",
    "http://localhost/x", "http://localhost:80/x",
  ])
  func refusesAForeignOrigin(origin: String) {
    #expect(rules.refusal(host: "localhost", origins: [origin])?.code == .originForbidden)
    #expect(
      rules.refusal(host: "localhost", origins: ["http://localhost", origin])?.code
        == .originForbidden)
  }

  @Test func theHostIsJudgedFirst() {
    #expect(rules.refusal(host: "evil", origins: ["null"])?.code == .hostForbidden)
  }
}
