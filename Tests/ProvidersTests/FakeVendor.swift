import Base
import Events
import HTTP
import Providers
import TestSupport
import UringIO

/// A vendor's server on the test's own loop, over real TCP: answers requests from a list, the
/// last one again and again.
final class FakeVendor {
  enum End { case complete, abort, hang }

  enum Answer {
    case status(Int, body: String = "{}", fields: [HTTPField] = [])
    /// Pieces are written one a turn of the loop.
    case stream([String], End)
    /// Not even a head.
    case silence
  }

  private(set) var requests: [HTTPRequest] = []
  private(set) var clientsGone = 0
  private(set) var port: UInt16 = 0
  private var answers: [Answer]
  private let loop: EventLoop
  private var server: HTTPServer?
  private var held: [HTTPResponder] = []

  init(_ loop: EventLoop, _ answers: [Answer]) throws {
    self.loop = loop
    self.answers = answers
    let server = HTTPServer(loop: loop) { [unowned self] in handle($0, $1) }
    port = try server.listen(on: .ipv4(host: "127.0.0.1", port: 0)).port
    self.server = server
  }

  func close() {
    held = []
    server?.close()
    server = nil
  }

  private func handle(_ request: HTTPRequest, _ responder: HTTPResponder) {
    requests.append(request)
    responder.onClientGone = { [unowned self] _ in clientsGone += 1 }
    let answer = answers.count > 1 ? answers.removeFirst() : answers[0]
    switch answer {
    case .status(let status, let body, let fields):
      let type = HTTPField("content-type", "application/json")
      responder.respond(
        HTTPResponse(status: status, fields: [type] + fields, body: Array(body.utf8)))
    case .stream(let pieces, let end):
      responder.beginEvents()
      write(pieces[...], end, responder)
    case .silence: held.append(responder)
    }
  }

  private func write(_ pieces: ArraySlice<String>, _ end: End, _ responder: HTTPResponder) {
    guard let piece = pieces.first else {
      switch end {
      case .complete: responder.end()
      case .abort: responder.abort()
      case .hang: held.append(responder)
      }
      return
    }
    Array(piece.utf8).withUnsafeBytes { _ = responder.write($0) }
    // A timer, not a turn: the other side of the connection must get its turn in between.
    loop.schedule(after: .milliseconds(1)) { [self] in write(pieces.dropFirst(), end, responder) }
  }
}

/// A router over the real transport with one provider, `v/m`, that talks to a `FakeVendor`.
final class VendorBench {
  let harness: LoopHarness
  let vendor: FakeVendor
  let router: ProviderRouter
  private let transport: NodeTransport

  init(
    _ harness: LoopHarness, _ answers: [FakeVendor.Answer],
    _ change: (inout ProviderOptions) -> Void = { _ in }
  ) throws {
    self.harness = harness
    vendor = try FakeVendor(harness.loop, answers)
    transport = NodeTransport(loop: harness.loop)
    var options = ProviderOptions(
      name: "v", kind: .openai, baseURL: "http://127.0.0.1:\(vendor.port)/v1", apiKey: "sk-own-key",
      models: ["m"])
    change(&options)
    var policy = RetryPolicy()
    policy.delayFirst = .milliseconds(1)
    router = ProviderRouter(
      policy: policy,
      dependencies: ProviderRouter.Dependencies(
        timers: harness.loop, random: SeededRandom(seed: 1),
        logger: Logger(module: "providers", ring: LogRing(), clock: SystemClock())))
    let adapter = OpenAIAdapter(
      options: options,
      dependencies: OpenAIAdapter.Dependencies(
        transport: transport, clock: harness.loop.clock, random: SeededRandom(seed: 2)),
      probe: nil)
    router.install(ProviderSet(entries: [.init(provider: adapter)], routes: []))
  }

  func close() {
    transport.close()
    vendor.close()
  }

  func ask(_ text: String = "hello") -> GenerateRecorder {
    let recorder = GenerateRecorder()
    _ = router.generate(request(text), sink: recorder.sink)
    _ = harness.until(deadline: .seconds(20)) { recorder.lastEvents > 0 }
    return recorder
  }
}
