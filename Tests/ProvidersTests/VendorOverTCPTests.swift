// Contract: the whole way over real TCP, from a request to its events: what a vendor's server does
// to a connection becomes the right code, the right number of calls and the right text.
import Base
import Events
import HTTP
import Providers
import TestSupport
import Testing
import UringIO

@Suite(.serialized) struct VendorOverTCPTests {
  private func bench<T>(
    _ answers: [FakeVendor.Answer], _ change: (inout ProviderOptions) -> Void = { _ in },
    _ body: (VendorBench) throws -> T
  ) throws -> T {
    try LoopHarness.run { harness in
      let bench = try VendorBench(harness, answers, change)
      defer { bench.close() }
      return try body(bench)
    }
  }

  @Test func aStreamInSmallPieces() throws {
    let bytes = Array(Chunks.answer(["Hel", "lo 東京"]))
    let pieces = stride(from: 0, to: bytes.count, by: 7).map {
      String(bytes[$0..<min($0 + 7, bytes.count)])
    }
    try bench([.stream(pieces, .complete)]) { bench in
      let seen = bench.ask()
      #expect(seen.result?.text == "Hello 東京")
      #expect(seen.log.map { $0.dropFirst() }.joined() == "Hello 東京")
      #expect(seen.result?.usage.tokensIn == 21)
      let sent = try #require(bench.vendor.requests.first)
      #expect(sent.path == ["v1", "chat", "completions"])
      #expect(sent.fields["authorization"] == "Bearer sk-own-key")
      #expect((try? JSON(parsing: sent.body))?["stream"] == true)
    }
  }

  @Test(arguments: [500, 502, 503, 504, 429, 408, 409, 529])
  func twoFailuresThenAnAnswer(_ status: Int) throws {
    let failure = FakeVendor.Answer.status(status, fields: [HTTPField("retry-after", "0")])
    try bench([failure, failure, .stream([Chunks.answer(["ok"])], .complete)]) { bench in
      let seen = bench.ask()
      #expect(seen.result?.text == "ok" && seen.result?.usage.retries == 2)
      #expect(bench.vendor.requests.count == 3)
    }
  }

  @Test(arguments: [
    (400, ErrorCode.providerInvalidRequest), (401, .providerAuthentication),
    (403, .providerPermission), (404, .providerNotFound), (422, .providerInvalidRequest),
  ])
  func refusalsAreFinal(_ status: Int, _ code: ErrorCode) throws {
    let body = #"{"error":{"message":"scripted failure sk-SECRETLEAK sk-own-key"}}"#
    try bench([.status(status, body: body)]) { bench in
      let failure = try #require(bench.ask().failure)
      #expect(failure.code == code && !failure.retryable)
      #expect(failure.message == "v answered \(status): scripted failure [removed] [removed]")
      #expect(bench.vendor.requests.count == 1)
    }
  }

  @Test(arguments: [("3600", 1), ("Thu, 01 Jan 2099 00:00:00 GMT", 1), ("0", 3), ("soon", 3)])
  func waitsThatAreAskedFor(_ value: String, _ calls: Int) throws {
    try bench([.status(429, fields: [HTTPField("Retry-After", value)])]) { bench in
      #expect(bench.ask().failure?.code == .providerRateLimited)
      #expect(bench.vendor.requests.count == calls)
    }
  }

  @Test func quotaIsNotARateLimit() throws {
    let body = #"{"error":{"message":"no money","code":"insufficient_quota"}}"#
    try bench([.status(429, body: body)]) { bench in
      #expect(bench.ask().failure?.code == .providerQuota && bench.vendor.requests.count == 1)
    }
  }

  @Test func aCutConnectionRunsAgain() throws {
    let cut = FakeVendor.Answer.stream([Chunks.role, Chunks.text("Hel")], .abort)
    try bench([cut, .stream([Chunks.answer(["Hello"])], .complete)]) { bench in
      let seen = bench.ask()
      #expect(seen.log == ["+Hel", "!", "+Hello"])
      #expect(seen.result?.usage.retries == 1 && seen.result?.usage.estimated == true)
    }
  }

  @Test func alwaysCutIsAFailure() throws {
    try bench([.stream([Chunks.text("x")], .abort)]) { bench in
      let seen = bench.ask()
      #expect(seen.failure?.code == .providerStreamCut && bench.vendor.requests.count == 3)
      #expect(seen.log == ["+x", "!", "+x", "!", "+x"])
    }
  }

  @Test func brokenJSONIsAProtocolFailure() throws {
    let broken = "data: {\"choices\": [{\"delta\": {\"content\": \"x\n\n"
    try bench([.stream([Chunks.text("a"), broken, Chunks.stop], .complete)]) { bench in
      #expect(bench.ask().failure?.code == .providerProtocol)
    }
  }

  @Test func silenceIsATimeoutOfItsPhase() throws {
    try bench([.stream([Chunks.role], .hang)], { $0.timeouts.idle = .milliseconds(60) }) { bench in
      let failure = bench.ask().failure
      #expect(failure?.code == .providerTimeout && bench.vendor.requests.count == 3)
      #expect(failure?.message.contains("timeout_idle") == true)
    }
    try bench([.silence], { $0.timeouts.firstByte = .milliseconds(60) }) { bench in
      let failure = bench.ask().failure
      #expect(failure?.code == .providerTimeout && bench.vendor.requests.count == 3)
      #expect(failure?.message.contains("timeout_first_byte") == true)
    }
  }

  @Test func theWholeCallHasALimitToo() throws {
    let pieces = (0..<2_000).map { Chunks.text("\($0) ") }
    try bench([.stream(pieces, .complete)], { $0.timeouts.total = .milliseconds(80) }) { bench in
      let seen = bench.ask()
      #expect(seen.failure?.code == .providerTimeout)
      #expect(seen.failure?.message.contains("timeout_total") == true)
    }
  }

  @Test func nobodyListens() throws {
    try bench([.silence], { $0.baseURL = "http://127.0.0.1:9/v1" }) { bench in
      let failure = bench.ask().failure
      #expect(failure?.code == .providerUnavailable && failure?.retryable == true)
    }
  }

  @Test func aHostWithoutAnAddress() throws {
    try bench([.silence], { $0.baseURL = "http://no-such-host.invalid/v1" }) { bench in
      #expect(bench.ask().failure?.code == .providerUnavailable)
    }
  }

  @Test func cancelClosesTheVendorsConnection() throws {
    try bench([.stream([Chunks.role, Chunks.text("a")], .hang)]) { bench in
      let recorder = GenerateRecorder()
      let call = bench.router.generate(request(), sink: recorder.sink)
      #expect(bench.harness.until { !recorder.log.isEmpty })
      call.cancel()
      #expect(bench.harness.until { bench.vendor.clientsGone == 1 })
      #expect(recorder.lastEvents == 0)
    }
  }
}
