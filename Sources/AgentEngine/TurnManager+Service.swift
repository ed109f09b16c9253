package import Base
package import Events

// What the gateway asks about turns and sessions. What belongs to others does not exist.

extension TurnManager: TurnService {
  package func turn(
    _ turnID: ULID, for principal: Principal,
    completion: @escaping (Result<TurnResource, Problem>) -> Void
  ) {
    guard let session = session(of: turnID, for: principal) else {
      return later { completion(.failure(Self.noTurn(turnID))) }
    }
    resource(turnID, session) { [self] result in later { completion(result) } }
  }

  package func turns(
    for principal: Principal, limit: Int, before cursor: ULID?,
    completion: @escaping (Result<[TurnResource], Problem>) -> Void
  ) {
    if !isTurnOrderSorted {
      turnOrder.sort()
      isTurnOrderSorted = true
    }
    var found: [TurnResource] = []
    for turnID in turnOrder.reversed() where found.count < limit {
      if let cursor, turnID >= cursor { continue }
      guard let session = session(of: turnID, for: principal),
        let index = session.index(of: turnID)
      else { continue }
      let reference = session.turns[index]
      found.append(
        TurnResource(
          turnID: turnID, sessionID: session.id, personalityID: "",
          status: live[turnID]?.status ?? reference.status, createdAt: reference.createdAt))
    }
    complete(found, completion)
  }

  /// Ended turns' names and ends are on the log; the rest is in memory.
  private func complete(
    _ listed: [TurnResource], _ completion: @escaping (Result<[TurnResource], Problem>) -> Void
  ) {
    var left = listed.count
    var resources = listed
    guard left > 0 else { return later { completion(.success([])) } }
    for (position, item) in listed.enumerated() {
      guard let session = sessionOfTurn[item.turnID] else { continue }
      resource(item.turnID, session) { [self] result in
        if case .success(var full) = result {
          full.terminal["answer"] = nil
          full.terminal["output"] = nil
          full.terminal["sources"] = nil
          resources[position] = full
        }
        left -= 1
        if left == 0 { later { completion(.success(resources)) } }
      }
    }
  }

  package func attach(
    _ turnID: ULID, for principal: Principal, after lastEventID: String?,
    subscriber: any TurnStreamSubscriber,
    completion: @escaping (Result<AttachOutcome, Problem>) -> Void
  ) {
    guard let session = session(of: turnID, for: principal),
      let index = session.index(of: turnID)
    else { return later { completion(.failure(Self.noTurn(turnID))) } }
    later { [self] in
      if let live = live[turnID] {
        attach(subscriber, to: live, after: lastEventID, completion)
      } else if let stream = endedStreams[turnID] {
        show(stream, turnID, lastEventID, subscriber, completion)
      } else {
        let offset = session.turns[index].responsesOffset
        streamReader.read(turnID, partition: session.partition, from: offset) { [self] result in
          switch result {
          case .failure(let error): completion(.failure(Problem(error)))
          case .success(let stream):
            if stream.isEnded { endedStreams.insert(stream, for: turnID) }
            show(stream, turnID, lastEventID, subscriber, completion)
          }
        }
      }
    }
  }

  private func attach(
    _ subscriber: any TurnStreamSubscriber, to live: LiveTurn, after lastEventID: String?,
    _ completion: (Result<AttachOutcome, Problem>) -> Void
  ) {
    if let fault = owner(of: live.session).fault {
      let text = "the turn's partition does not serve: \(fault)"
      return completion(.failure(Problem(.busUnavailable, text, retryAfterSeconds: 5)))
    }
    // Everything recorded so far comes from the stream; what comes later comes as it happens.
    flushText(live)
    showNow(live)
    guard let events = live.stream.replay(turnID: live.turnID, after: lastEventID) else {
      return completion(.success(.ended))
    }
    let subscription = Subscription(subscriber)
    live.subscribers.append(subscription)
    completion(.success(.attached(subscription)))
    if !events.isEmpty { subscription.subscriber?.receive(events) }
  }

  private func show(
    _ stream: TurnStream, _ turnID: ULID, _ lastEventID: String?,
    _ subscriber: any TurnStreamSubscriber,
    _ completion: (Result<AttachOutcome, Problem>) -> Void
  ) {
    guard let events = stream.replay(turnID: turnID, after: lastEventID) else {
      return completion(.success(.ended))
    }
    let subscription = Subscription(subscriber)
    completion(.success(.attached(subscription)))
    subscription.subscriber?.receive(events)
  }

  package func cancel(
    _ turnID: ULID, for principal: Principal, traceID: String,
    completion: @escaping (Result<(resource: TurnResource, hadEnded: Bool), Problem>) -> Void
  ) {
    guard let session = session(of: turnID, for: principal) else {
      return later { completion(.failure(Self.noTurn(turnID))) }
    }
    let answer: (Bool) -> Void = { [self] hadEnded in
      resource(turnID, session) { [self] result in
        later { completion(result.map { ($0, hadEnded) }) }
      }
    }
    guard let running = live[turnID] else { return answer(true) }
    guard !running.isAbandoned else {
      let problem =
        isDraining
        ? Problem(.nodeDraining, "the node is stopping")
        : Problem(.busUnavailable, "the turn's partition does not serve", retryAfterSeconds: 5)
      return later { completion(.failure(problem)) }
    }
    // Its end is on the way to the log: what it came to is told once it is there.
    guard !running.isEnding else { return running.endWaiters.append { answer(true) } }
    let payload: JSON = [
      "turn_id": .string(turnID.description), "reason": "requested",
      "principal": principal.json,
    ]
    let record = EventEnvelope(
      eventID: events.makeID(), type: "CancelEvent.v1", timestamp: now, traceID: traceID,
      tenantID: principal.tenantID, sessionID: session.id
    ).record(payload: payload.encoded)
    let target = TopicPartition(.control, session.partition)
    events.bus.append([PartitionBatch(target, [record])]) { [self] result in
      switch result {
      case .failure(let error): later { completion(.failure(Problem(error))) }
      case .success(let offsets):
        consumeControl(owner(of: session), through: offsets[0])
        guard let running = live[turnID] else { return answer(true) }
        guard !running.isEnding else { return running.endWaiters.append { answer(true) } }
        cancel(running, TurnFailure(.cancelled, "the turn was cancelled", retryable: false))
        answer(false)
      }
    }
  }

  package func session(
    _ sessionID: String, for principal: Principal,
    completion: @escaping (Result<SessionResource, Problem>) -> Void
  ) {
    guard let session = told(sessionID, principal), let first = session.turns.first,
      let last = session.turns.last
    else { return later { completion(.failure(Self.noSession(sessionID))) } }
    let resource = SessionResource(
      sessionID: session.id, turnCount: session.turns.count, createdAt: first.createdAt,
      updatedAt: last.createdAt)
    later { completion(.success(resource)) }
  }

  package func history(
    session sessionID: String, for principal: Principal, limit: Int, after cursor: ULID?,
    completion: @escaping (Result<HistoryPage, Problem>) -> Void
  ) {
    guard let session = told(sessionID, principal) else {
      return later { completion(.failure(Self.noSession(sessionID))) }
    }
    var start = 0
    if let cursor {
      guard let index = session.index(of: cursor) else {
        let problem = Problem(.fieldInvalid, "the cursor is no turn of the session")
        return later { completion(.failure(problem)) }
      }
      start = index + 1
    }
    // One more than is shown says whether there is a next page.
    let ended = session.turns[start...].indices.lazy
      .filter { session.turns[$0].endedOffset != nil }.prefix(limit + 1)
    let indices = Array(ended.prefix(limit))
    let next = ended.count > limit ? indices.last.map { session.turns[$0].turnID } : nil
    history.all(of: session, indices: indices) { [self] result in
      let page = result.mapError { Problem($0) }.map { exchanges in
        HistoryPage(
          items: zip(indices, exchanges).flatMap { Self.items(session.turns[$0], $1) },
          nextCursor: next)
      }
      later { completion(page) }
    }
  }

  private func told(_ sessionID: String, _ principal: Principal) -> SessionState? {
    guard let session = sessions[sessionID], session.belongs(to: principal),
      !session.turns.isEmpty
    else { return nil }
    return session
  }

  private static func items(
    _ turn: SessionState.TurnReference, _ exchange: ContextManager.Exchange
  ) -> [HistoryItem] {
    exchange.filter { !($0.role == .assistant && $0.text.isEmpty) }.map {
      HistoryItem(
        turnID: turn.turnID, role: $0.role, content: $0.text, status: turn.status,
        createdAt: turn.createdAt)
    }
  }

  // MARK: Control

  /// Reads control/p from where it is consumed, at start: cancels that no owner has seen.
  func readControl(_ owner: PartitionOwner, completion: @escaping (BusError?) -> Void) {
    events.readAll(
      TopicPartition(.control, owner.partition), from: owner.consumed.control,
      { [self] record in
        owner.consumed.control = record.offset + 1
        guard Envelope.isValid(record.payloadBytes),
          let envelope = EnvelopeScanner(record.payloadBytes), envelope.isType("CancelEvent.v1"),
          let payload = try? envelope.payloadJSON(),
          let turnID = payload["turn_id"]?.string.flatMap({ ULID($0) }),
          let live = live[turnID]
        else { return true }
        cancel(live, TurnFailure(.cancelled, "the turn was cancelled", retryable: false))
        return true
      },
      completion: { result in
        if case .failure(let error) = result { completion(error) } else { completion(nil) }
      })
  }

  private func consumeControl(_ owner: PartitionOwner, through offset: UInt64) {
    owner.consumed.control = max(owner.consumed.control, offset + 1)
  }

  // MARK: Helpers

  private static func noSession(_ id: String) -> Problem {
    Problem(.sessionNotFound, "there is no session \(id)")
  }

  private func session(of turnID: ULID, for principal: Principal) -> SessionState? {
    guard let session = sessionOfTurn[turnID], session.belongs(to: principal) else { return nil }
    return session
  }

  private func resource(
    _ turnID: ULID, _ session: SessionState,
    completion: @escaping (Result<TurnResource, Problem>) -> Void
  ) {
    guard let index = session.index(of: turnID) else {
      return completion(.failure(Self.noTurn(turnID)))
    }
    let reference = session.turns[index]
    if let live = live[turnID] {
      return completion(
        .success(
          TurnResource(
            turnID: turnID, sessionID: session.id,
            personalityID: live.machine.personality.id, status: live.status,
            createdAt: reference.createdAt)))
    }
    history.ended(reference, session.partition) { result in
      switch result {
      case .failure(let error): completion(.failure(Problem(error)))
      case .success(let ended?):
        completion(
          .success(
            TurnResource(
              turnID: turnID, sessionID: session.id, personalityID: ended.personalityID,
              status: ended.status, createdAt: reference.createdAt,
              finishedAt: ended.finishedAt, terminal: ended.terminal)))
      case .success(nil): completion(.failure(Self.noTurn(turnID)))
      }
    }
  }

  private static func noTurn(_ turnID: ULID) -> Problem {
    Problem(.turnNotFound, "there is no turn \(turnID)")
  }

  private func later(_ body: @escaping () -> Void) { timers.schedule(after: .zero, body) }
}
