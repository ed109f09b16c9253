import AgentEngine
import Base
import Events

// What users do: submit, cancel, watch and ask; every answer is compared with the log.

extension EngineSimulation {
  static let principals = ["ann", "bob", "cy"].enumerated().map { index, name in
    Principal(
      subject: name, tenantID: index == 2 ? "other" : "default", scopes: ["turns"], auth: "key")
  }

  private static let schema: JSON = [
    "type": "object", "properties": ["n": ["type": "integer"]], "required": ["n"],
  ]

  /// Calls the engine and checks that its answer comes once, and not inside the call.
  private func ask<Answer>(
    _ call: (@escaping (Answer) -> Void) -> Void, _ take: @escaping (Answer) -> Void
  ) {
    var isInside = true
    var isAnswered = false
    unanswered += 1
    call { [self] answer in
      if isInside { model.complain("an answer comes inside the call") }
      if isAnswered { model.complain("a call is answered twice") }
      isAnswered = true
      unanswered -= 1
      take(answer)
    }
    isInside = false
  }

  // MARK: Submitting

  func randomSubmission() -> Submission {
    let index = number(0...4)
    let owner = Self.principals[index % 3]
    let isStranger = chance(60)
    let principal = isStranger ? Self.principals[(index + 1) % 3] : owner
    let session = chance(150) ? nil : "session-\(index)"
    guard chance(250) else { return Submission(principal: principal, session: session) }
    let key = "key-\(number(0...2))"
    let scope = "\(principal.subject) \(session ?? "-") \(key)"
    return Submission(
      principal: principal, session: session, key: (scope, chance(850) ? "one" : "two"))
  }

  func submit(_ submission: Submission) {
    submissions += 1
    let schema: JSON? = chance(150) ? Self.schema : Optional.none
    let deadline = chance(120) ? number(1...4_000) : nil
    let request = TurnSubmission(
      principal: submission.principal, sessionID: submission.session,
      personalityID: pick(["plain", "tooled", "tooled", "learned"]),
      userMessage: "message \(submissions)", responseSchema: schema,
      deadline: deadline.map { time.clock.wall().adding(.milliseconds(Int64($0))) },
      idempotencyKey: submission.key?.scope, bodyDigest: submission.key?.body ?? "",
      traceID: String(repeating: "ab", count: 16))
    ask({ engine.submit(request, completion: $0) }) { [self] result in
      switch result {
      case .success(let admission): promise(admission, submission)
      case .failure(let problem): refused(problem, submission)
      }
    }
  }

  private func promise(_ admission: TurnAdmission, _ submission: Submission) {
    let text = admission.turnID.description
    guard let turn = model.turns[text] else {
      return model.complain("\(text) was promised before it was on the log")
    }
    if turn.sessionID != admission.sessionID { model.complain("\(text) is in another session") }
    if let session = submission.session, session != admission.sessionID {
      model.complain("\(text) went to session \(admission.sessionID)")
    }
    model.count(admission.replayed ? "replayed by key" : "admitted")
    if let key = submission.key {
      if let known = promised[key.scope] {
        if known.turnID != admission.turnID { model.complain("key \(key.scope) gave two turns") }
        if known.body != key.body { model.complain("key \(key.scope) took another body") }
      }
      promised[key.scope] = (admission.turnID, key.body)
    }
    if acknowledged.updateValue(submission.principal, forKey: admission.turnID) == nil {
      order.append(admission.turnID)
    }
    let open = (model.sessions[admission.sessionID] ?? []).count { model.turns[$0]?.end == nil }
    if open > Self.queueMax + 1 { model.complain("session \(admission.sessionID) holds \(open)") }
  }

  private func refused(_ problem: Problem, _ submission: Submission) {
    model.count("refused: \(problem.code)")
    switch problem.code {
    case .queueFull, .diskFull, .busUnavailable, .nodeDraining, .turnUnconfirmed: break
    case .sessionNotFound:
      let owner = model.sessions[submission.session ?? ""]?.first.flatMap { ULID($0) }
        .flatMap { acknowledged[$0] }
      if owner == submission.principal { model.complain("an owner's session does not exist") }
    case .idempotencyKeyReused:
      if let key = submission.key, promised[key.scope]?.body == key.body {
        model.complain("the same body under \(key.scope) is called another")
      }
    default: model.complain("a submission is refused: \(problem.code) \(problem.detail)")
    }
  }

  // MARK: Cancelling and watching

  func cancel(_ turnID: ULID) {
    guard let principal = acknowledged[turnID] else { return }
    let trace = String(repeating: "0", count: 32)
    ask({ engine.cancel(turnID, for: principal, traceID: trace, completion: $0) }) {
      [self] result in
      switch result {
      case .success(let answer):
        model.count(answer.hadEnded ? "cancelled too late" : "cancelled")
        if answer.hadEnded, !answer.resource.status.isTerminal {
          model.complain("\(turnID) had ended, and is \(answer.resource.status)")
        }
      case .failure(let problem):
        if ![.diskFull, .busUnavailable].contains(problem.code) {
          model.complain("\(turnID) cannot be cancelled: \(problem.code)")
        }
      }
    }
  }

  func client(of turnID: ULID, fresh: Bool = false) -> SimulatedClient {
    let idle = clients.filter {
      $0.turnID == turnID && $0.connection == nil && !$0.isConnecting && !$0.view.isEnded
    }
    if !fresh, chance(700), let known = pick(idle) { return known }
    let client = SimulatedClient(turnID, model)
    client.isFresh = fresh
    clients.append(client)
    return client
  }

  func connect(_ client: SimulatedClient) {
    guard let principal = acknowledged[client.turnID], !client.isConnecting else { return }
    client.isConnecting = true
    var position = client.view.lastEventID
    if position != nil, chance(50) { position = pick(["x", "1.1", "99999999.1", "65536.900"]) }
    let count = client.view.items.count
    ask({
      engine.attach(
        client.turnID, for: principal, after: position, subscriber: client, completion: $0)
    }) { [self] result in
      switch result {
      case .success(.attached(let connection)):
        guard client.isConnecting else { return connection.cancel() }
        model.count(count > 0 ? "client came back" : "client came")
        client.connection = connection
      case .success(.ended): model.complain("a client is told that nothing follows")
      case .failure(let problem): model.complain("no stream: \(problem.code)")
      }
      client.isConnecting = false
    }
  }

  // MARK: Asking

  func look(at turnID: ULID) {
    guard let principal = acknowledged[turnID] else { return }
    ask({ engine.turn(turnID, for: principal, completion: $0) }) { [self] result in
      guard case .success(let resource) = result else {
        return model.complain("\(turnID) was promised and is not there")
      }
      let end = model.turns[turnID.description]?.end
      if resource.status.isTerminal != (end != nil) {
        model.complain("\(turnID) is \(resource.status), the log says \(end?["status"] as Any)")
      }
      if resource.status.isTerminal, .object(resource.terminal) != end?["terminal"] {
        model.complain("\(turnID) ended otherwise than on the log")
      }
    }
    let stranger = Self.principals.first { $0 != principal }!
    ask({ engine.turn(turnID, for: stranger, completion: $0) }) { [self] result in
      if case .success = result { model.complain("a stranger sees \(turnID)") }
    }
  }

  /// Page by page, of a size that is asked for at random.
  private func checkHistory(
    of session: String, for principal: Principal, after cursor: ULID?, given: [String],
    wanted: [String]
  ) {
    let limit = number(1...3)
    ask({
      engine.history(
        session: session, for: principal, limit: limit, after: cursor, completion: $0)
    }) { [self] result in
      guard let page = try? result.get() else {
        return model.complain("history of \(session) is not told")
      }
      let given = given + page.items.map { "\($0.role): \($0.content)" }
      if Set(page.items.map(\.turnID)).count > limit {
        model.complain("a page of \(session) has more than \(limit) turns")
      }
      if let next = page.nextCursor {
        checkHistory(of: session, for: principal, after: next, given: given, wanted: wanted)
      } else if given != wanted {
        model.complain("history of \(session) is \(given) instead of \(wanted)")
      }
    }
  }

  /// Histories and lists are what the log says, in its order.
  func checkSessions() {
    for (session, turns) in model.sessions.sorted(by: { $0.key < $1.key }) {
      let first = turns.compactMap { ULID($0).flatMap { acknowledged[$0] } }.first
      guard let principal = first else { continue }
      let wanted = turns.flatMap { model.exchange(of: $0) }.filter { $0 != "assistant: " }
      checkHistory(of: session, for: principal, after: nil, given: [], wanted: wanted)
    }
    for principal in Self.principals {
      let wanted = order.filter { acknowledged[$0] == principal }.sorted(by: >)
      ask({ engine.turns(for: principal, limit: 1_000, before: nil, completion: $0) }) {
        [self] result in
        let given = (try? result.get())?.map(\.turnID) ?? []
        if given != given.sorted(by: >) || !Set(wanted).isSubset(of: given) {
          model.complain("the list of \(principal.subject)'s turns is \(given)")
        }
      }
    }
    time.run(for: .seconds(1))
    if unanswered > 0 { model.complain("\(unanswered) questions were never answered") }
  }
}
