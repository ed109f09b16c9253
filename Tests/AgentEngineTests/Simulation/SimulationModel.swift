import Base
import Events

/// Everything the log says, and whether it may say so: the oracle of the simulation. It is told of
/// every record the moment it is durable, and asked before anything of the world is called.
final class SimulationModel {
  struct Turn {
    var sessionID: String
    var message: String
    var isAccepted = false
    var attempts: [String: Int64] = [:]
    var finished: Set<String> = []
    var finishedModelSteps = 0
    var end: JSON?
    var stream = LogStream()
  }

  private(set) var turns: [String: Turn] = [:]
  /// Turns of a session in the order they were accepted.
  private(set) var sessions: [String: [String]] = [:]
  private(set) var problems: [String] = []
  private(set) var counts: [String: Int] = [:]
  /// A running hash of everything that became durable, when, and in which order.
  private(set) var trace: UInt64 = 0xCBF2_9CE4_8422_2325
  private(set) var lastJournalType: [Int: String] = [:]
  private var turnOfMessage: [String: String] = [:]
  private var journalIDs: Set<String> = []
  private var epochs: [Int: Int64] = [:]
  private var lastTaken: [Int: Int64] = [:]
  private var startedAt: [String: Timestamp] = [:]
  private var stepOfQuery: [String: (turn: String, step: String)] = [:]
  private var effectRuns: [String: Int] = [:]
  /// Calls that run for a turn now, in the living process.
  var running: [String: Int] = [:]
  private let clock: any Clock
  /// Prints every record that becomes durable, for whoever looks into one seed.
  var tells = false

  init(clock: any Clock) { self.clock = clock }

  func complain(_ text: String) { problems.append(text) }
  func count(_ what: String, _ amount: Int = 1) { counts[what, default: 0] += amount }
  func turnID(ofMessage message: String) -> String? { turnOfMessage[message] }

  func mix(_ value: UInt64) { trace = (trace ^ value) &* 0x100_0000_01B3 }

  // MARK: The log

  func stored(_ target: TopicPartition, _ records: [BusRecord], first: UInt64) {
    for (index, record) in records.enumerated() {
      mix(UInt64(target.topic.rawValue * 64 + target.partition))
      mix(UInt64(truncatingIfNeeded: record.eventID.value))
      mix(UInt64(clock.wall().microseconds))
      guard [.turnsRequests, .journal, .turnsResponses, .plans].contains(target.topic) else {
        continue
      }
      guard let event = try? JSON(parsing: record.payload), let payload = event["payload"] else {
        complain("\(record.type) is no JSON")
        continue
      }
      if tells { tell(target, first + UInt64(index), record, event, payload) }
      switch target.topic {
      case .turnsRequests: requested(event, payload)
      case .journal:
        // An append that was made again: the first counts (SEMANTICS D8).
        guard journalIDs.insert(record.eventID.description).inserted else { continue }
        lastJournalType[target.partition] = record.type
        decided(record.type, event, payload, target.partition)
      default: published(record, event, payload, target.topic)
      }
    }
  }

  private func tell(
    _ target: TopicPartition, _ offset: UInt64, _ record: BusRecord, _ event: JSON, _ payload: JSON
  ) {
    let what = payload["event"]?.string ?? record.type
    let turn = payload["turn_id"]?.string?.suffix(6) ?? ""
    print(
      clock.monotonic().milliseconds, "\(target.topic)/\(target.partition)", offset, turn, what,
      payload["position"]?.string ?? "", event["owner_epoch"]?.int ?? 0,
      payload["published"]?.int ?? -1)
  }

  private func requested(_ event: JSON, _ payload: JSON) {
    guard let turnID = payload["turn_id"]?.string, let message = payload["user_message"]?.string,
      let session = event["session_id"]?.string
    else { return complain("a TurnEvent lacks something") }
    guard turns[turnID] == nil else { return }
    turns[turnID] = Turn(sessionID: session, message: message)
    turnOfMessage[message] = turnID
  }

  private func decided(_ type: String, _ event: JSON, _ payload: JSON, _ partition: Int) {
    count(type)
    if type == "OwnerClaim.v1" {
      let epoch = payload["epoch"]?.int ?? 0
      if epoch <= epochs[partition] ?? 0 { complain("epoch \(epoch) was there before") }
      epochs[partition] = epoch
      return
    }
    guard type != "OwnerReleased.v1" else { return }
    guard let turnID = payload["turn_id"]?.string, turns[turnID] != nil else {
      return complain("\(type) about an unknown turn")
    }
    if turns[turnID]?.end != nil { complain("\(type) after the end of \(turnID)") }
    if type != "TurnAccepted.v1", turns[turnID]?.isAccepted == false {
      complain("\(type) before \(turnID) was accepted")
    }
    switch type {
    case "TurnAccepted.v1": accepted(turnID, payload, partition)
    case "PlanDecided.v1": planned(turnID, payload)
    case "StepStarted.v1": started(turnID, event, payload)
    case "StepFinished.v1": finished(turnID, payload)
    case "TurnEnded.v1": ended(turnID, payload)
    default: break
    }
  }

  private func accepted(_ turnID: String, _ payload: JSON, _ partition: Int) {
    if turns[turnID]!.isAccepted { complain("\(turnID) was accepted twice") }
    turns[turnID]!.isAccepted = true
    sessions[turns[turnID]!.sessionID, default: []].append(turnID)
    let offset = payload["request_offset"]?.int ?? -1
    if offset <= lastTaken[partition] ?? -1 { complain("\(turnID) was taken out of order") }
    lastTaken[partition] = offset
  }

  private func planned(_ turnID: String, _ payload: JSON) {
    let session = sessions[turns[turnID]!.sessionID] ?? []
    for earlier in session.prefix(while: { $0 != turnID }) where turns[earlier]?.end == nil {
      complain("\(turnID) runs while \(earlier) before it in its session has not ended")
    }
    if (payload["revision"]?.int ?? 0) > 1 { count("revision") }
  }

  private func started(_ turnID: String, _ event: JSON, _ payload: JSON) {
    let step = payload["step_id"]?.string ?? ""
    let attempt = payload["attempt"]?.int ?? 0
    if turns[turnID]!.finished.contains(step) { complain("finished step \(step) starts again") }
    if attempt != (turns[turnID]!.attempts[step] ?? 0) + 1 {
      complain("step \(step) has attempt \(attempt) out of order")
    }
    if attempt > 1 { count("step started again") }
    turns[turnID]!.attempts[step] = attempt
    guard let query = Self.query(ofArguments: payload["parameters"]?["tool_call"]?["arguments"])
    else { return }
    // The lease runs from when the record was sent (SEMANTICS D15).
    startedAt[query] = event["timestamp"]?.string.flatMap { Timestamp(rfc3339: $0) }
    stepOfQuery[query] = (turnID, step)
  }

  private func finished(_ turnID: String, _ payload: JSON) {
    let step = payload["step_id"]?.string ?? ""
    if !turns[turnID]!.finished.insert(step).inserted { complain("step \(step) finished twice") }
    if payload["step_type"]?.string == "llm" { turns[turnID]!.finishedModelSteps += 1 }
    count("step \(payload["step_type"]?.string ?? "") \(payload["status"]?.string ?? "")")
    if let code = payload["error"]?["code"]?.string { count("step failed: \(code)") }
  }

  private func ended(_ turnID: String, _ payload: JSON) {
    turns[turnID]!.end = payload
    count("turn \(payload["status"]?.string ?? "")")
    if let code = payload["terminal"]?["error"]?["code"]?.string { count("turn ended: \(code)") }
    if running[turnID] ?? 0 > 0 { complain("\(turnID) ended while a call of it runs") }
  }

  private func published(_ record: BusRecord, _ event: JSON, _ payload: JSON, _ topic: Topic) {
    if let cause = event["causation_id"]?.string, !journalIDs.contains(cause) {
      complain("\(record.type) was published before its decision was settled")
    }
    guard topic == .turnsResponses, let turnID = payload["turn_id"]?.string else { return }
    guard turns[turnID] != nil else { return complain("a response to no turn") }
    let wasEnded = turns[turnID]!.stream.view.isEnded
    if let complaint = turns[turnID]!.stream.take(record.eventID, payload) {
      complain("log, turn \(turnID): \(complaint)")
    }
    if payload["event"]?.string == "reset" { count("reset on the log") }
    if turns[turnID]!.stream.view.isEnded, !wasEnded { checkTerminal(turnID, payload) }
  }

  /// The terminal's answer is the joined standing text of the step it names.
  private func checkTerminal(_ turnID: String, _ payload: JSON) {
    guard let turn = turns[turnID] else { return }
    guard let end = turn.end, payload["event"]?.string == "turn.\(end["status"]?.string ?? "")"
    else { return complain("\(turnID) shows an end that it has not") }
    let step = payload["step_id"]?.string
    let answer = payload["answer"]?.string
    if payload["event"]?.string == "turn.completed", step == nil || answer == nil {
      complain("\(turnID) completed without an answer")
    }
    let shown = step.map { turn.stream.view.text(of: $0) } ?? ""
    if shown != answer ?? "" {
      complain("\(turnID) answers '\(answer ?? "")' and shows '\(shown)'")
    }
  }

  // MARK: The world

  /// A call of the model is about to begin.
  func modelCalled(_ request: GenerateRequest) {
    let own = request.messages.lastIndex { $0.role == .user && turnOfMessage[$0.text] != nil }
    guard let own, let turnID = turnOfMessage[request.messages[own].text],
      let turn = turns[turnID]
    else { return complain("a model call for no turn") }
    if turn.end != nil { complain("a model call for \(turnID) that has ended") }
    if running[turnID] ?? 0 > 0 { complain("two calls of \(turnID) at once") }
    let said = request.messages[own...].count { $0.role == .assistant }
    if turn.finishedModelSteps > said { complain("a finished LLM step of \(turnID) runs again") }
    let wanted = history(before: turnID)
    let given = request.messages[1..<own].map { "\($0.role): \($0.text)" }
    if given != wanted {
      complain("\(turnID) is told the history \(given) instead of \(wanted)")
    }
    count(wanted.isEmpty ? "call without history" : "call with history")
  }

  /// What every earlier turn of the session left, in their order.
  private func history(before turnID: String) -> [String] {
    let session = sessions[turns[turnID]!.sessionID] ?? []
    return session.prefix { $0 != turnID }.flatMap { exchange(of: $0) }
  }

  /// A turn's part of its session's history: role and text of each message.
  func exchange(of turnID: String) -> [String] {
    guard let turn = turns[turnID], let end = turn.end else { return [] }
    var lines = ["user: \(turn.message)"]
    for message in end["messages"]?.array ?? [] {
      lines.append("\(message["role"]?.string ?? ""): \(message["content"]?.string ?? "")")
    }
    let answer = end["terminal"]?["answer"]?.string ?? ""
    // Last words that stand beside the calls of a round that was cut short are told once.
    let last = end["messages"]?.array?.last { $0["role"]?.string == "assistant" }
    let isTold =
      end["status"]?.string != "completed" && last?["content"]?.string == answer
    if !answer.isEmpty, !isTold { lines.append("assistant: \(answer)") }
    return lines
  }

  /// A tool is about to run; returns the turn it runs for, as far as it can be told.
  func toolCalled(_ invocation: ToolInvocation) {
    let arguments = try? JSON(parsing: invocation.arguments)
    guard let query = arguments?["q"]?.string else { return complain("a tool without its query") }
    if let (turnID, step) = stepOfQuery[query] {
      if turns[turnID]?.finished.contains(step) == true {
        complain("finished tool step \(step) runs again")
      }
      if turns[turnID]?.end != nil { complain("a tool of \(turnID) runs after its end") }
    }
    guard invocation.tool.effect != .read else { return }
    guard let started = startedAt[query] else {
      return complain("an effect began before its start was settled")
    }
    if clock.wall().microseconds - started.microseconds > 2_000_000 {
      complain("an effect began after its lease")
    }
    effectRuns[query, default: 0] += 1
    guard effectRuns[query]! > 1 else { return }
    count("\(invocation.tool.effect) again")
    if invocation.tool.effect == .effectful { complain("the effect \(query) happens again") }
  }

  static func query(ofArguments arguments: JSON?) -> String? {
    guard let text = arguments?.string else { return nil }
    return (try? JSON(parsing: text))?["q"]?.string
  }
}
