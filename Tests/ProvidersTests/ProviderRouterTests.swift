// Contract: whatever providers do, a call ends with exactly one last event; what was shown of a
// call that failed is voided before the next one shows anything; calls are counted and charged.
import Base
import Events
import Providers
import TestSupport
import Testing
import UringIO

@Suite struct ProviderRouterTests {
  final class Bench {
    let harness: LoopHarness
    let first: ScriptedProvider
    let second: ScriptedProvider
    let router: ProviderRouter

    init(_ harness: LoopHarness, routes: [RouteOptions] = [], prices: [String: ModelPrices] = [:]) {
      self.harness = harness
      first = ScriptedProvider(name: "one", models: ["m", "vendor/big"], timers: harness.loop)
      second = ScriptedProvider(name: "two", models: ["n"], timers: harness.loop)
      var policy = RetryPolicy()
      policy.delayFirst = .milliseconds(1)
      router = ProviderRouter(
        policy: policy,
        dependencies: ProviderRouter.Dependencies(
          timers: harness.loop, random: SeededRandom(seed: 1),
          logger: Logger(module: "providers", ring: LogRing(), clock: SystemClock())))
      router.install(
        ProviderSet(
          entries: [
            ProviderSet.Entry(provider: first, prices: prices),
            ProviderSet.Entry(provider: second, prices: prices),
          ], routes: routes))
    }

    func ask(_ request: GenerateRequest) -> GenerateRecorder {
      let recorder = GenerateRecorder()
      _ = router.generate(request, sink: recorder.sink)
      #expect(recorder.lastEvents == 0 && recorder.log.isEmpty)
      _ = harness.until(deadline: .seconds(5)) { recorder.lastEvents > 0 }
      for _ in 0..<3 { harness.loop.runOnce() }
      #expect(recorder.lastEvents == 1)
      return recorder
    }
  }

  private func fail(_ code: ErrorCode, after: Nanoseconds? = nil) -> ScriptedReply {
    ScriptedReply([.fail(TurnFailure(code, "scripted"), retryAfter: after)])
  }

  @Test func anAnswerPassesThrough() throws {
    try LoopHarness.run { harness in
      let bench = Bench(harness, prices: ["m": ModelPrices(input: 1_000_000, output: 2_000_000)])
      let tokens = TokenCounts(input: 10, output: 2, cached: 0)
      bench.first.enqueue([ScriptedReply([.delta("a"), .delta("b")], tokens: tokens)])
      let seen = bench.ask(request())
      #expect(seen.log == ["+a", "+b"])
      let result = try #require(seen.result)
      #expect(result.model == "one/m" && result.text == "ab" && result.usage.costMicros == 14)
      #expect(result.usage.retries == 0 && !result.usage.estimated)
    }
  }

  @Test func failuresAreTriedAgainAndCounted() throws {
    try LoopHarness.run { harness in
      let bench = Bench(harness)
      bench.first.enqueue([
        fail(.providerUnavailable), fail(.providerRateLimited, after: .zero),
        ScriptedReply([.delta("ok")]),
      ])
      let seen = bench.ask(request())
      #expect(seen.log == ["+ok"] && seen.result?.usage.retries == 2)
      #expect(seen.result?.usage.costMicros == nil)
      #expect(bench.first.requests.count == 3)
      let counts = bench.router.metrics.requests
      #expect(counts.values.reduce(0, +) == 3)
      #expect(counts[.init(provider: "one", model: "m", outcome: "ok")] == 1)
    }
  }

  @Test func threeCallsAreTheEnd() throws {
    try LoopHarness.run { harness in
      let bench = Bench(harness)
      bench.first.enqueue((0..<9).map { _ in fail(.providerOverloaded) })
      let seen = bench.ask(request())
      #expect(seen.failure?.code == .providerOverloaded && seen.failedUsage?.retries == 2)
      #expect(bench.first.requests.count == 3)
    }
  }

  @Test func whatCannotSucceedIsNotTriedAgain() throws {
    try LoopHarness.run { harness in
      let bench = Bench(harness)
      bench.first.enqueue([fail(.providerAuthentication)])
      #expect(bench.ask(request()).failure?.code == .providerAuthentication)
      #expect(bench.first.requests.count == 1)
    }
  }

  @Test func aCutStreamRunsAgainAndVoidsWhatWasShown() throws {
    try LoopHarness.run { harness in
      let bench = Bench(harness)
      bench.first.enqueue([
        ScriptedReply([.delta("He"), .cut]), ScriptedReply([.cut]),
        ScriptedReply([.delta("Hello")]),
      ])
      let seen = bench.ask(request())
      #expect(seen.log == ["+He", "!", "+Hello"])
      #expect(seen.result?.text == "Hello")
      // What the cut call said is charged, and marked as a guess.
      #expect(seen.result?.usage.estimated == true)
      let one = TokenEstimator.tokens(of: request())
      #expect(seen.result?.usage.tokensIn == 2 * one)
    }
  }

  @Test func theLastFailureLeavesItsTextStanding() throws {
    try LoopHarness.run { harness in
      let bench = Bench(harness)
      bench.first.enqueue((0..<3).map { ScriptedReply([.delta("\($0)"), .cut]) })
      let seen = bench.ask(request())
      #expect(seen.log == ["+0", "!", "+1", "!", "+2"])
      #expect(seen.failure?.code == .providerStreamCut)
    }
  }

  @Test func aRouteFallsBackInItsOrder() throws {
    try LoopHarness.run { harness in
      let route = RouteOptions(name: "default", use: ["one/m", "two/n"])
      let bench = Bench(harness, routes: [route])
      bench.first.enqueue([fail(.providerOverloaded)])
      bench.second.enqueue([ScriptedReply([.delta("b")])])
      let seen = bench.ask(request())
      #expect(seen.result?.model == "two/n" && seen.result?.usage.retries == 1)
      #expect(bench.first.requests.count == 1)
    }
  }

  @Test func aNamedModelNeverFallsBack() throws {
    try LoopHarness.run { harness in
      let route = RouteOptions(name: "default", use: ["one/m", "two/n"])
      let bench = Bench(harness, routes: [route])
      bench.first.enqueue((0..<3).map { _ in fail(.providerOverloaded) })
      let seen = bench.ask(request(model: "one/vendor/big"))
      #expect(seen.failure?.code == .providerOverloaded && bench.second.requests.isEmpty)
    }
  }

  @Test(arguments: ["one/x", "three/m", "m", "", "/m", "one/"])
  func unknownModels(_ model: String) throws {
    try LoopHarness.run { harness in
      let bench = Bench(harness)
      #expect(bench.router.profile(model: model, route: "default") == nil)
      #expect(bench.ask(request(model: model)).failure?.code == .providerNotFound)
    }
  }

  @Test func profilesFollowTheRoute() throws {
    try LoopHarness.run { harness in
      let bench = Bench(harness, routes: [RouteOptions(name: "small", use: ["two/n"])])
      bench.second.profile = ModelProfile(promptTokensMax: 5, supportsTools: false)
      #expect(bench.router.profile(model: nil, route: "small")?.promptTokensMax == 5)
      #expect(bench.router.profile(model: nil, route: "default") == ModelProfile())
      #expect(bench.router.profile(model: "one/vendor/big", route: "x") == ModelProfile())
      #expect(bench.router.profile(model: nil, route: "gone") == nil)
      #expect(bench.router.models == ["one/m", "one/vendor/big", "two/n"])
    }
  }

  @Test func cancelDuringACallAndDuringAWaitIsSilent() throws {
    try LoopHarness.run { harness in
      let bench = Bench(harness)
      bench.first.enqueue([
        ScriptedReply([.delta("a"), .silence]), fail(.providerRateLimited, after: .seconds(5)),
      ])
      let during = GenerateRecorder()
      let call = bench.router.generate(request(), sink: during.sink)
      _ = harness.until { !during.log.isEmpty }
      call.cancel()
      call.cancel()
      let waiting = GenerateRecorder()
      let wait = bench.router.generate(request(), sink: waiting.sink)
      _ = harness.until { bench.router.metrics.requests.count == 2 }
      wait.cancel()
      for _ in 0..<5 { harness.loop.runOnce() }
      #expect(during.lastEvents == 0 && waiting.lastEvents == 0)
      #expect(bench.first.requests.count == 2)
      let labels = ProviderMetrics.RequestLabels(provider: "one", model: "m", outcome: "cancelled")
      #expect(bench.router.metrics.requests[labels] == 1)
    }
  }

  @Test func callsBeforeTheChoiceWaitForIt() throws {
    try LoopHarness.run { harness in
      let router = ProviderRouter(
        policy: RetryPolicy(),
        dependencies: ProviderRouter.Dependencies(
          timers: harness.loop, random: SeededRandom(seed: 1),
          logger: Logger(module: "providers", ring: LogRing(), clock: SystemClock())))
      let kept = GenerateRecorder()
      let dropped = GenerateRecorder()
      _ = router.generate(request(), sink: kept.sink)
      router.generate(request(), sink: dropped.sink).cancel()
      #expect(router.profile(model: nil, route: "default")?.supportsTools == false)
      let provider = ScriptedProvider(name: "one", models: ["m"], timers: harness.loop)
      router.install(ProviderSet(entries: [.init(provider: provider)], routes: []))
      _ = harness.until { kept.lastEvents > 0 }
      #expect(kept.result?.text == "What is a ring? " && provider.requests.count == 1)
      #expect(dropped.lastEvents == 0)
    }
  }
}

@Suite struct ScriptedProviderTests {
  private func ask(_ text: String) throws -> CallRecorder {
    try LoopHarness.run { harness in
      let provider = ScriptedProvider(name: "s", models: [], timers: harness.loop)
      let recorder = CallRecorder()
      _ = provider.call(request(text), model: "echo", sink: recorder.sink)
      _ = harness.until(deadline: .milliseconds(200)) { recorder.lastEvents > 0 }
      return recorder
    }
  }

  @Test func directives() throws {
    #expect(try ask("hello world").text == "hello world ")
    #expect(try ask("[[tokens:3]]").text == "word-0 word-1 word-2 ")
    #expect(try ask("x [[tokens:-3]]").text == "")
    #expect(try ask("[[fail:provider_quota]]").failure?.failure.code == .providerQuota)
    #expect(try ask("[[fail:nonsense]]").failure?.failure.code == .providerUnavailable)
    let cut = try ask("[[tokens:5]][[cut:2]]")
    #expect(cut.text == "word-0 word-1 " && cut.failure?.failure.code == .providerStreamCut)
    #expect(try ask("[[silent]]").lastEvents == 0)
    #expect(try ask("[[tokens:2]][[delay:1ms]]").result?.text == "word-0 word-1 ")
    #expect(try ask("[[unclosed").text == "[[unclosed ")
  }
}

@Suite struct ProviderMetricsTests {
  @Test func seriesAreBounded() {
    let metrics = ProviderMetrics()
    for index in 0..<2_000 {
      metrics.count(provider: "p\(index)", model: "m", outcome: "ok")
      metrics.addCost(provider: "p\(index)", model: "m", micros: 1)
    }
    #expect(metrics.requests.count <= ProviderMetrics.seriesMax + 1)
    #expect(metrics.requests.values.reduce(0, +) == 2_000)
    #expect(metrics.costMicros.values.reduce(0, +) == 2_000)
  }
}
