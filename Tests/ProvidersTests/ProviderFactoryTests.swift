// Contract: without `[[providers]]` the first that can answer is used, in SURFACE's order, and a
// log line says which and why.
import Base
import Events
import HTTP
import Providers
import TestSupport
import Testing
import UringIO

@Suite struct AutomaticChoiceTests {
  private func choose(
    _ environment: [String: String], ollama: String? = nil, local: Bool = false
  ) -> AutomaticChoice {
    AutomaticChoice.choose(
      AutomaticChoice.Findings(
        environment: environment, ollamaModel: ollama, isLocalModelInstalled: local))
  }

  @Test func theOrderIsSurfaces() {
    let all = ["OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "a"]
    #expect(choose(all, ollama: "llama", local: true).options.name == "openai")
    #expect(choose([:], ollama: "llama", local: true).options.name == "ollama")
    #expect(choose([:], local: true).options.kind == .local)
    #expect(choose([:]).options.kind == .extractive)
    #expect(choose(["OPENAI_API_KEY": ""]).options.kind == .extractive)
  }

  @Test func keysWithoutAnAdapterAreNamedButNotShown() {
    let choice = choose(["ANTHROPIC_API_KEY": "secret-a", "GEMINI_API_KEY": "secret-g"])
    #expect(choice.skipped.count == 2 && choice.options.kind == .extractive)
    #expect(!choice.skipped.joined().contains("secret"))
  }

  @Test func theChosenModelCanBeAskedForByName() {
    let choice = choose([:], ollama: "llama3:8b")
    #expect(choice.options.models == ["llama3:8b"])
    #expect(choice.options.prices["llama3:8b"] == .free)
  }
}

@Suite struct ProviderFactoryTests {
  private func configure(
    _ answer: ScriptedAnswer?, environment: [String: String] = [:],
    providers: [ProviderOptions] = []
  ) throws -> (models: [String], log: [LogRecord], requests: Int) {
    try LoopHarness.run { harness in
      let ring = LogRing()
      let transport = ScriptedTransport(harness.loop, [answer])
      let factory = ProviderFactory(
        ProviderFactory.Dependencies(
          loop: harness.loop, transport: transport, sideThreads: SideThreads(threads: 1),
          random: SeededRandom(seed: 1),
          logger: Logger(module: "providers", ring: ring, clock: SystemClock()),
          environment: environment))
      let router = factory.makeRouter(policy: RetryPolicy())
      factory.configure(router, providers: providers, routes: [], localModels: ["/nowhere"])
      _ = harness.until(deadline: .seconds(2)) { !router.models.isEmpty }
      defer { router.stop() }
      return (router.models, ring.drain(), transport.requests.count)
    }
  }

  @Test func anOllamaWithAModelIsUsed() throws {
    var answer = ScriptedAnswer.stream(
      #"{"models":[{"name":"nomic-embed-text"},{"name":"m","details":{"family":"bert"}},"#
        + #"{"name":"llama3:8b"},{"name":"x"}]}"#)
    answer.fields = ["content-type: application/json"]
    let found = try configure(answer)
    #expect(found.models == ["ollama/llama3:8b"])
    let line = try #require(found.log.first { $0.message == "provider" })
    #expect(line.fields["provider"] == "ollama")
    #expect(line.fields["reason"]?.string?.isEmpty == false)
  }

  @Test(arguments: ["", "{", #"{"models":[]}"#, #"{"models":[{}]}"#, "[]"])
  func anOllamaWithoutAModelIsNone(_ body: String) throws {
    #expect(try configure(.stream(body)).models == ["extractive/passages"])
  }

  @Test func nothingThere() throws {
    #expect(try configure(nil).models == ["extractive/passages"])
    #expect(
      try configure(.error(500, #"{"models":[{"name":"x"}]}"#)).models == ["extractive/passages"])
  }

  @Test func aKeyNeedsNoProbe() throws {
    let found = try configure(nil, environment: ["OPENAI_API_KEY": "sk-x"])
    #expect(found.models == ["openai/\(AutomaticChoice.openAIModel)"] && found.requests == 0)
    #expect(!found.log.contains { "\($0)".contains("sk-x") })
  }

  @Test func aConfiguredProviderSwitchesTheChoiceOff() throws {
    let scripted = ProviderOptions(name: "s", kind: .scripted)
    let found = try configure(
      nil, environment: ["OPENAI_API_KEY": "sk-x"], providers: [scripted])
    #expect(found.models == ["s/echo"] && found.requests == 0)
  }
}

@Suite(.serialized) struct ProviderReloadTests {
  @Test func whatStaysTheSameGoesOn() throws {
    let files = FakeModelDirectory("echo x >> $HOME/log; echo READY; exec sleep 1000")
    try LoopHarness.run { harness in
      let factory = ProviderFactory(
        ProviderFactory.Dependencies(
          loop: harness.loop, transport: ScriptedTransport(harness.loop, [nil]),
          sideThreads: SideThreads(threads: 1), random: SeededRandom(seed: 1),
          logger: Logger(module: "providers", ring: LogRing(), clock: SystemClock()),
          environment: [:]))
      let router = factory.makeRouter(policy: RetryPolicy())
      defer { router.stop() }
      var local = ProviderOptions(name: "local", kind: .local)
      local.modelDirectory = files.path
      let scripted = ProviderOptions(name: "s", kind: .scripted)
      func configure(_ providers: [ProviderOptions]) {
        factory.configure(router, providers: providers, routes: [], localModels: [])
      }
      func detail() -> String? { router.reachability().first { $0.provider == "local" }?.detail }
      configure([local])
      #expect(harness.untilSeen { detail()?.hasPrefix("serves") == true })
      let serving = detail()
      // The same again, then another provider beside it.
      configure([local])
      configure([local, scripted])
      #expect(detail() == serving && router.models.count == 2)
      // Another table: another server.
      local.threads = 2
      configure([local])
      #expect(detail() == "is starting")
      #expect(harness.untilSeen { detail()?.hasPrefix("serves") == true })
      configure([scripted])
      #expect(router.models == ["s/echo"])
    }
  }
}

@Suite struct ReachabilityProbeTests {
  @Test func aListenerIsReachableAndItsAbsenceIsSeen() throws {
    try LoopHarness.run { harness in
      let server = HTTPServerPort()
      let threads = SideThreads(threads: 1)
      for host in ["127.0.0.1", "localhost"] {
        let url = try #require(HTTPURL("http://\(host):\(server.port)/v1"))
        let probe = ReachabilityProbe(url: url, loop: harness.loop, sideThreads: threads)
        #expect(probe.current() == (false, "not checked yet"))
        #expect(harness.until { probe.current().reachable })
      }
      let port = server.port
      server.close()
      let url = try #require(HTTPURL("http://127.0.0.1:\(port)"))
      let probe = ReachabilityProbe(url: url, loop: harness.loop, sideThreads: threads)
      var isFresh = false
      probe.refresh { isFresh = true }
      #expect(harness.until { isFresh })
      #expect(probe.current().reachable == false)
      #expect(probe.current().detail.contains("refused"))
    }
  }

  @Test func aNameWithoutAnAddress() throws {
    try LoopHarness.run { harness in
      let url = try #require(HTTPURL("http://no-such-host.invalid/"))
      let probe = ReachabilityProbe(
        url: url, loop: harness.loop, sideThreads: SideThreads(threads: 1))
      var isFresh = false
      probe.refresh { isFresh = true }
      _ = harness.until { isFresh }
      #expect(probe.current() == (false, "no-such-host.invalid has no address"))
    }
  }
}
