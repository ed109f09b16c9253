// Contract: the local model as `make model` installs it starts under supervision, streams an
// answer in several deltas with its own token counts, fills a schema, stops when it is cancelled,
// and ends with its supervisor. Runs where KFM_TEST_MODELS names an installed model directory.
// Nothing is asked of the answer's quality.
import Base
import Events
import Glibc
import HTTP
import Providers
import TestSupport
import Testing
import UringIO

enum InstalledModels {
  static let directory: String? = {
    guard let value = getenv("KFM_TEST_MODELS") else { return nil }
    let path = String(cString: value)
    return LocalModelFiles.isInstalled(directory: path) ? path : nil
  }()
}

@Suite(.enabled(if: InstalledModels.directory != nil, "KFM_TEST_MODELS names no local model"))
struct RealLocalModelTests {
  @Test func itAnswersFillsASchemaAndStops() throws {
    let directory = try #require(InstalledModels.directory)
    try LoopHarness.run { harness in
      let transport = NodeTransport(loop: harness.loop)
      defer { transport.close() }
      let factory = ProviderFactory(
        ProviderFactory.Dependencies(
          loop: harness.loop, transport: transport, sideThreads: SideThreads(threads: 1),
          random: SeededRandom(seed: 1),
          logger: Logger(module: "providers", ring: LogRing(), clock: SystemClock()),
          environment: [:]))
      let router = factory.makeRouter(policy: RetryPolicy())
      var options = ProviderOptions(name: "local", kind: .local)
      options.modelDirectory = directory
      factory.configure(router, providers: [options], routes: [], localModels: [])
      defer { router.stop() }
      #expect(router.profile(model: nil, route: "default")?.promptTokensMax == 700)

      // Asked before it is ready: waits.
      let plain = GenerateRecorder()
      _ = router.generate(request("What is the capital of France?"), sink: plain.sink)
      _ = harness.until(deadline: .seconds(120)) { plain.lastEvents > 0 }
      let result = try #require(plain.result)
      #expect(result.model == "local/\(LocalModelFiles.model)" && plain.log.count > 2)
      #expect(result.usage.tokensIn > 5 && result.usage.tokensOut > 1)
      #expect(!result.usage.estimated && result.usage.costMicros == 0)

      let filled = GenerateRecorder()
      let schema: JSON = [
        "type": "object", "properties": ["name": ["type": "string"], "age": ["type": "integer"]],
        "required": ["name", "age"], "additionalProperties": false,
      ]
      _ = router.generate(request("Ann is 31 years old.", schema: schema), sink: filled.sink)
      _ = harness.until(deadline: .seconds(120)) { filled.lastEvents > 0 }
      let object = try JSON(parsing: try #require(filled.result).text)
      #expect(object["name"]?.string != nil && object["age"]?.int != nil)

      let stopped = GenerateRecorder()
      let call = router.generate(request("Count to one thousand."), sink: stopped.sink)
      _ = harness.until(deadline: .seconds(60)) { stopped.log.count > 1 }
      call.cancel()
      #expect(stopped.lastEvents == 0)
      #expect(router.reachability().first?.reachable == true)
    }
  }
}
