import AgentEngine
import Base
import Events
import Observability

/// An engine on virtual time over a memory bus and a scripted world; it can be killed and started
/// again on what the bus has kept.
final class EngineHarness {
  let time = VirtualTime()
  let world: ScriptedWorld
  private(set) var bus: MemoryBus
  private(set) var engine: TurnManager
  let logs = LogRing()
  var options: EngineOptions

  init(options: EngineOptions = EngineOptions()) {
    self.options = options
    world = ScriptedWorld(time: time)
    bus = MemoryBus(time: time)
    engine = Self.engine(bus, world, time, options, logs, seed: 1)
    start()
  }

  private static func engine(
    _ bus: MemoryBus, _ world: ScriptedWorld, _ time: VirtualTime, _ options: EngineOptions,
    _ logs: LogRing, seed: UInt64
  ) -> TurnManager {
    TurnManager(
      options: options,
      services: EngineServices(
        personalities: world, providers: world, tools: world, knowledge: world),
      events: EventPublisherSubscriber(
        bus: bus, clock: time.clock, random: SeededRandom(seed: seed)),
      timers: time, metrics: EngineMetrics(NodeMetrics(MetricsCollector())),
      logger: Logger(module: "AgentEngine", ring: logs, clock: time.clock))
  }

  private var starts: UInt64 = 1

  private func start() {
    var isUp = false
    engine.start { _ in isUp = true }
    precondition(time.run(until: { isUp }), "the engine did not start")
  }

  /// SIGKILL and a new start: appends under way are lost but for the first `kept`.
  func kill(keeping kept: Int = 0) {
    bus = bus.crash(keeping: kept)
    for call in world.calls { call.cancel() }
    starts += 1
    engine = Self.engine(bus, world, time, options, logs, seed: starts)
    start()
  }

  func submission(
    _ message: String, session: String? = nil, personality: String = "plain",
    key: String? = nil, schema: JSON? = nil, deadline: Timestamp? = nil
  ) -> TurnSubmission {
    TurnSubmission(
      principal: .local, sessionID: session, personalityID: personality, userMessage: message,
      responseSchema: schema, deadline: deadline, idempotencyKey: key, bodyDigest: message,
      traceID: String(repeating: "ab", count: 16))
  }

  /// Submits and runs until the submission is answered.
  func submit(_ submission: TurnSubmission) -> Result<TurnAdmission, Problem> {
    var answer: Result<TurnAdmission, Problem>?
    engine.submit(submission) { answer = $0 }
    _ = time.run(until: { answer != nil })
    return answer!
  }

  func begin(
    _ message: String, session: String? = nil, personality: String = "plain",
    schema: JSON? = nil
  ) -> ULID {
    try! submit(
      submission(message, session: session, personality: personality, schema: schema)
    ).get().turnID
  }

  func resource(_ turnID: ULID) -> TurnResource? {
    var answer: Result<TurnResource, Problem>?
    engine.turn(turnID, for: .local) { answer = $0 }
    _ = time.run(until: { answer != nil })
    return try? answer?.get()
  }

  /// Runs until the turn has ended, and returns it.
  func finish(_ turnID: ULID) -> TurnResource? {
    for _ in 0..<1_000 {
      if let found = resource(turnID), found.status.isTerminal { return found }
      time.run(for: .milliseconds(50))
    }
    return nil
  }

  func attach(_ turnID: ULID, after lastEventID: String? = nil) -> StreamProbe? {
    let probe = StreamProbe()
    var ended = false
    var answered = false
    engine.attach(turnID, for: .local, after: lastEventID, subscriber: probe) { outcome in
      if case .success(.ended) = outcome { ended = true }
      answered = true
    }
    _ = time.run(until: { answered })
    return ended ? nil : probe
  }
}

/// A client that keeps what a stream shows it, by the rules of SEMANTICS D20.
final class StreamProbe: TurnStreamSubscriber {
  private(set) var events: [StreamEvent] = []
  private(set) var standing: [(position: StreamPosition, name: String, data: JSON)] = []
  private(set) var broken: [String] = []
  private(set) var losses = 0
  private var attempt: UInt64 = 0

  func lost() { losses += 1 }

  func receive(_ batch: [StreamEvent]) {
    for event in batch {
      events.append(event)
      take(event)
    }
  }

  func take(_ event: StreamEvent) {
    let data = (try? JSON(parsing: event.data)) ?? .null
    if event.name == "reset", let from = data["discard_from"]?.int {
      standing.removeAll { $0.position.sequence >= UInt64(from) }
      if event.position == nil { attempt = 0 }
    }
    guard let position = event.position else { return }
    if position.attempt < attempt { broken.append("\(event.name) \(position) after \(attempt)") }
    if position.sequence != UInt64(standing.count) + 1 {
      broken.append("\(event.name) at \(position), \(standing.count) stand")
    }
    attempt = max(attempt, position.attempt)
    standing.append((position, event.name, data))
  }

  var names: [String] { standing.map(\.name) }
  var text: String {
    standing.filter { $0.name == "delta" }.compactMap { $0.data["text"]?.string }.joined()
  }
  var terminal: (name: String, data: JSON)? {
    standing.last.flatMap {
      $0.name.hasPrefix("turn.") && $0.name != "turn.accepted" ? ($0.name, $0.data) : nil
    }
  }
  var lastID: String? { standing.last.map { $0.position.description } }
}
