import AgentEngine
import Base
import Events
import Observability

/// One seeded run: a random workload and random faults on virtual time, checked at every step by
/// the model, and as a whole once the faults have stopped.
final class EngineSimulation {
  struct Settings {
    var seed: UInt64
    var operations = 20
    /// Whether appends may be answered with an error although they were kept (SEMANTICS D8).
    var lies = false
  }

  struct Submission {
    var principal: Principal
    var session: String?
    /// Scope, key and body; nil without a key.
    var key: (scope: String, body: String)?
  }

  static let partitions = 2
  static let queueMax = 3

  let settings: Settings
  let time = VirtualTime()
  let log = SimulatedLog()
  let model: SimulationModel
  let world: SimulationWorld
  let random: SeededRandom
  private(set) var bus: SimulatedBus
  private(set) var engine: TurnManager
  private(set) var timers: ProcessTimers
  private(set) var isUp = false
  private var lives: UInt64 = 0
  /// Turns that somebody was promised, and whose they are.
  var acknowledged: [ULID: Principal] = [:]
  var order: [ULID] = []
  var clients: [SimulatedClient] = []
  /// The first turn that was promised under each idempotency key.
  var promised: [String: (turnID: ULID, body: String)] = [:]
  /// Calls of the living process that have not been answered.
  var unanswered = 0
  var submissions = 0

  init(_ settings: Settings) {
    self.settings = settings
    random = SeededRandom(seed: settings.seed)
    model = SimulationModel(clock: time.clock)
    timers = ProcessTimers(time)
    world = SimulationWorld(
      timers: timers, random: SeededRandom(seed: settings.seed ^ 0xA5A5), model: model)
    (bus, engine) = Self.process(settings.seed, 0, log, timers, world)
    log.onStore = { [model] in model.stored($0, $1, first: $2) }
    boot()
  }

  private static func process(
    _ seed: UInt64, _ life: UInt64, _ log: SimulatedLog, _ timers: ProcessTimers,
    _ world: SimulationWorld
  ) -> (SimulatedBus, TurnManager) {
    var options = EngineOptions()
    options.queueMax = queueMax
    options.turnDeadline = .seconds(60)
    options.stepTimeout = .seconds(8)
    options.toolRoundsMax = 2
    options.historyTokens = 1_000_000
    let random = SeededRandom(seed: seed &* 1_000_003 &+ life)
    let bus = SimulatedBus(
      log: log, partitions: partitions, timers: timers,
      random: SeededRandom(seed: seed ^ (life << 32)))
    let engine = TurnManager(
      options: options,
      services: EngineServices(
        personalities: world, providers: world, tools: world, knowledge: world),
      events: EventPublisherSubscriber(bus: bus, clock: timers.clock, random: random),
      timers: timers, metrics: EngineMetrics(NodeMetrics(MetricsCollector())),
      logger: Logger(module: "AgentEngine", ring: LogRing(), clock: timers.clock))
    return (bus, engine)
  }

  private func boot() {
    lives += 1
    timers = ProcessTimers(time)
    world.timers = timers
    model.running = [:]
    unanswered = 0
    isUp = false
    let commit = bus.faults.commit
    (bus, engine) = Self.process(settings.seed, lives, log, timers, world)
    // A slow disk stays slow.
    bus.faults.commit = commit
    engine.start { [self] result in
      if case .failure(let error) = result { model.complain("the engine does not start: \(error)") }
      isUp = true
    }
  }

  // MARK: Random choices

  func chance(_ thousandths: Int) -> Bool { random.next(below: 1_000) < UInt64(thousandths) }
  func number(_ range: ClosedRange<Int>) -> Int {
    range.lowerBound + Int(random.next(below: UInt64(range.count)))
  }
  func pick<Element>(_ list: [Element]) -> Element? {
    list.isEmpty ? nil : list[number(0...(list.count - 1))]
  }

  // MARK: Running

  /// Runs everything and returns what went wrong.
  func run() -> [String] {
    for _ in 0..<settings.operations {
      guard model.problems.isEmpty else { return model.problems }
      operate()
      let pause = chance(60) ? number(1_000_000...9_000_000) : number(100...40_000)
      time.run(for: Nanoseconds(Int64(pause) * 1_000))
    }
    settle()
    if model.problems.isEmpty { checkEnd() }
    return model.problems
  }

  private func operate() {
    guard isUp else { return chance(300) ? kill() : () }
    switch number(0...99) {
    case 0..<36: submit(randomSubmission())
    case 36..<41:
      let session = randomSubmission()
      let isOne = chance(500)
      for _ in 0..<number(2...7) { submit(isOne ? session : randomSubmission()) }
    case 41..<50: if let turn = pick(order) { cancel(turn) }
    case 50..<64: if let turn = pick(order) { connect(client(of: turn)) }
    case 64..<71: pick(clients)?.disconnect()
    case 71..<80: kill()
    case 80..<82: drain()
    case 82: killAgainAndAgain()
    case 83..<87: fillDisk()
    case 87..<91: slowDown()
    case 91..<94: changePack()
    default: if let turn = pick(order) { look(at: turn) }
    }
  }

  // MARK: Faults

  func kill() {
    let whole = number(0...bus.inFlight)
    let tears = whole < bus.inFlight && chance(400)
    model.count("kill")
    if model.tells { print("kill, \(whole) of \(bus.inFlight) appends kept, tears: \(tears)") }
    if whole > 0 { model.count("kill keeping appends") }
    if tears { model.count("kill tearing an append") }
    if !isUp { model.count("kill during start") }
    end(keeping: whole, tearing: tears)
  }

  /// Dies whenever it has come up: whose step ran then is to blame in the end.
  private func killAgainAndAgain() {
    for _ in 0..<number(4...8) {
      _ = time.run(within: .seconds(5), until: { isUp })
      time.run(for: .milliseconds(Int64(number(1...12))))
      kill()
    }
  }

  /// The process ends: the first `whole` appends under way reach the disk.
  func end(keeping whole: Int, tearing: Bool) {
    timers.isDead = true
    bus.die(keeping: whole, tearing: tearing)
    for client in clients { client.disconnect() }
    boot()
  }

  func drain() {
    model.count("drain")
    var isDown = false
    engine.drain(timeout: .milliseconds(Int64(number(0...4_000)))) { isDown = true }
    if chance(200) {
      time.run(for: .milliseconds(Int64(number(0...50))))
      model.count("kill during drain")
      return kill()
    }
    guard time.run(within: .seconds(60), until: { isDown }) else {
      return model.complain("drain does not end")
    }
    // A stop does not wait for ever: on a slow disk the last record may be missing.
    let isFast = bus.faults.failures == 0 && bus.faults.commit.most < .milliseconds(100)
    for (partition, type) in model.lastJournalType.sorted(by: { $0.key < $1.key })
    where isFast && type != "OwnerReleased.v1" {
      model.complain("partition \(partition) was left with \(type)")
    }
    end(keeping: bus.inFlight, tearing: false)
  }

  private func fillDisk() {
    model.count("disk full")
    bus.faults.failures = number(1...4)
    guard settings.lies else { return }
    bus.faults.liesLeft = number(1...2)
    model.count("append failed and was kept")
  }

  private func slowDown() {
    let isSlow = bus.faults.commit.most < .milliseconds(100)
    if isSlow { model.count("slow commits") }
    bus.faults.commit.most = isSlow ? .milliseconds(3_500) : .milliseconds(3)
  }

  private func changePack() {
    model.count("pack changed")
    let id = pick(["plain", "tooled", "learned"]) ?? ""
    world.packs[id]?.digest = "\(id)-\(number(1...1_000_000))"
  }

  // MARK: The end

  private func settle() {
    world.faults = SimulationWorld.Faults(
      providerFails: 0, providerRestarts: 0, hangs: 0, toolFails: 0, isSlow: 0)
    bus.faults = SimulatedBus.Faults()
    _ = time.run(within: .seconds(5), until: { isUp })
    reconnect()
    _ = time.run(within: .seconds(120), until: { isSettled })
    time.run(for: .seconds(1))
  }

  private func reconnect() {
    for client in clients where client.connection == nil && !client.view.isEnded {
      connect(client)
    }
  }

  private var isSettled: Bool {
    unanswered == 0
      && acknowledged.keys.allSatisfy {
        model.turns[$0.description]?.stream.view.isEnded == true
      } && model.turns.values.allSatisfy { !$0.isAccepted || $0.stream.view.isEnded }
  }

  private func checkEnd() {
    if unanswered > 0 { model.complain("\(unanswered) calls were never answered") }
    checkTurns()
    checkClients()
    checkSessions()
    guard model.problems.isEmpty, settings.seed % 3 == 0 else { return }
    // What a new process knows is what the log says.
    drain()
    _ = time.run(within: .seconds(5), until: { isUp })
    clients = []
    for turn in order { connect(client(of: turn, fresh: true)) }
    time.run(for: .seconds(1))
    checkTurns()
    checkClients()
    checkSessions()
  }

  private func checkTurns() {
    for (turnID, turn) in model.turns.sorted(by: { $0.key < $1.key }) where turn.isAccepted {
      if turn.end == nil { model.complain("\(turnID) was accepted and never ended") }
      if !turn.stream.view.isEnded { model.complain("\(turnID) never showed its end") }
    }
    for turnID in order {
      if model.turns[turnID.description]?.end == nil {
        model.complain("\(turnID) was promised and never ended")
      }
      look(at: turnID)
    }
    time.run(for: .seconds(1))
  }

  /// Whoever was there at the end holds what the log holds. A client whose stream had ended before
  /// the last owner wrote it anew knows other positions, and the same text.
  private func checkClients() {
    for client in clients {
      guard let stream = model.turns[client.turnID.description]?.stream.view else { continue }
      if client.view.essence != stream.essence {
        model.complain(
          "a client of \(client.turnID) holds \(client.view.essence) and the log "
            + "\(stream.essence)")
      }
      if client.isFresh, client.view.items != stream.items {
        model.complain("a new client of \(client.turnID) does not hold what the log holds")
      }
    }
  }
}
