import Base
package import Events

// How turns come in: the gateway's submissions, and TurnEvents found on the log.

extension TurnManager {
  package func submit(
    _ submission: TurnSubmission,
    completion: @escaping (Result<TurnAdmission, Problem>) -> Void
  ) {
    let answer: (Result<TurnAdmission, Problem>) -> Void = { [timers] result in
      timers.schedule(after: .zero) { completion(result) }
    }
    do throws(Problem) {
      let personality = try personality(for: submission)
      let sessionID = submission.sessionID ?? newSessionID(submission)
      switch try repeated(submission, sessionID) {
      case .no: break
      case .known(let admission): return answer(.success(admission))
      case .unconfirmed(let turnID):
        // It is answered with the first one's acknowledgement.
        pendingRepeats[turnID, default: []].append(completion)
        return
      }
      let session = try admit(submission, sessionID)
      append(submission, session, personality, completion)
    } catch {
      answer(.failure(error))
    }
  }

  private func personality(for submission: TurnSubmission) throws(Problem) -> Personality {
    guard !isDraining else {
      throw Problem(
        .nodeDraining, "the node is stopping and takes no new turns", retryAfterSeconds: 5)
    }
    if let id = submission.personalityID {
      guard let found = services.personalities.personality(id: id) else {
        throw Problem(
          .personalityNotFound, "there is no personality \(id)", pointer: "/personality_id")
      }
      return found
    }
    guard let found = services.personalities.defaultPersonality else {
      throw Problem(.personalityNotFound, "the node has no personality that serves")
    }
    return found
  }

  /// With a key and no session the session follows from the key, so that a repeat finds the turn
  /// (SEMANTICS D25).
  private func newSessionID(_ submission: TurnSubmission) -> String {
    guard let key = submission.idempotencyKey else { return events.makeID().description }
    let principal = submission.principal
    let scope = [principal.tenantID, principal.subject, "/v1/turns", key]
      .joined(separator: "\u{0}")
    return "key-" + SHA256Digest(of: scope).description.prefix(32)
  }

  private enum Repeat {
    case no
    case known(TurnAdmission)
    case unconfirmed(ULID)
  }

  /// Whether the submission repeats an earlier one under its idempotency key.
  private func repeated(_ submission: TurnSubmission, _ sessionID: String) throws(Problem)
    -> Repeat
  {
    guard let key = submission.idempotencyKey, let session = sessions[sessionID],
      session.belongs(to: submission.principal)
    else { return .no }
    session.forgetKeys(
      before: now.adding(Nanoseconds(-EngineLimits.idempotencyKept.count)))
    guard let known = session.idempotency[key] else { return .no }
    guard known.bodyDigest == submission.bodyDigest else {
      throw Problem(
        .idempotencyKeyReused, "the Idempotency-Key was used before with another body")
    }
    guard sessionOfTurn[known.turnID] != nil else { return .unconfirmed(known.turnID) }
    return .known(TurnAdmission(turnID: known.turnID, sessionID: sessionID, replayed: true))
  }

  private func admit(_ submission: TurnSubmission, _ sessionID: String) throws(Problem)
    -> SessionState
  {
    if let session = sessions[sessionID], !session.belongs(to: submission.principal) {
      throw noSession(sessionID)
    }
    let session = session(sessionID, submission.principal)
    if let fault = owner(of: session).fault {
      throw Problem(
        .busUnavailable, "the session's partition does not serve: \(fault)", retryAfterSeconds: 5)
    }
    guard session.unended <= options.queueMax else {
      throw Problem(
        .queueFull,
        "the session has \(options.queueMax) turns waiting already (engine.queue_max)",
        retryAfterSeconds: 1)
    }
    return session
  }

  private func append(
    _ submission: TurnSubmission, _ session: SessionState, _ personality: Personality,
    _ completion: @escaping (Result<TurnAdmission, Problem>) -> Void
  ) {
    let created = now
    let request = TurnRequest(
      submission: submission, turnID: events.makeTurnID(session: session.id),
      sessionID: session.id, personalityID: personality.id,
      deadline: submission.deadline ?? created.adding(options.turnDeadline),
      createdAt: created, eventID: events.makeID())
    session.unconfirmed += 1
    if let key = request.idempotencyKey {
      session.idempotency[key] = SessionState.IdempotentTurn(
        turnID: request.turnID, bodyDigest: request.bodyDigest, createdAt: created)
    }
    let batch = PartitionBatch(
      TopicPartition(.turnsRequests, session.partition), [request.record])
    events.bus.append([batch]) { [self] result in
      session.unconfirmed -= 1
      switch result {
      case .success(let offsets):
        let owner = owner(of: session)
        // The log decides which turn an idempotency key names: the answer waits until the owner has
        // taken this one and everything before it (SEMANTICS D12, D25).
        owner.confirmed[offsets[0]] = ConfirmedTurn(request: request) { [self] counting in
          let result: Result<ULID, Problem> =
            counting.map { .success($0) } ?? .failure(noSession(request.sessionID))
          answer(request, result, completion)
        }
        drainConfirmed(owner)
      case .failure(let error):
        if let key = request.idempotencyKey, session.idempotency[key]?.turnID == request.turnID {
          session.idempotency[key] = nil
        }
        // A session begins with its first turn on the log, whoever's that will be.
        if session.turns.isEmpty, session.unconfirmed == 0 { sessions[session.id] = nil }
        answer(request, .failure(Problem(error, turnID: request.turnID)), completion)
      }
    }
  }

  /// Answers a submission, and those that repeated it meanwhile.
  private func answer(
    _ request: TurnRequest, _ result: Result<ULID, Problem>,
    _ completion: (Result<TurnAdmission, Problem>) -> Void
  ) {
    func admission(isRepeat: Bool) -> Result<TurnAdmission, Problem> {
      result.map {
        TurnAdmission(
          turnID: $0, sessionID: request.sessionID, replayed: isRepeat || $0 != request.turnID)
      }
    }
    completion(admission(isRepeat: false))
    for waiter in pendingRepeats.removeValue(forKey: request.turnID) ?? [] {
      waiter(admission(isRepeat: true))
    }
  }

  private func noSession(_ id: String) -> Problem {
    Problem(.sessionNotFound, "there is no session \(id)", pointer: "/session_id")
  }

  // MARK: Taking turns

  /// Takes acknowledged turns in the order of their offsets; what lies between is read first.
  private func drainConfirmed(_ owner: PartitionOwner) {
    while let turn = owner.confirmed.removeValue(forKey: owner.consumed.requests) {
      turn.onTaken(take(turn.request, at: owner.consumed.requests, appended: now, owner))
    }
    if !owner.confirmed.isEmpty { catchUp(owner) }
  }

  /// Reads requests/p from where it is consumed to its end.
  func catchUp(_ owner: PartitionOwner, completion: @escaping (BusError?) -> Void = { _ in }) {
    guard !owner.isCatchingUp else { return completion(nil) }
    owner.isCatchingUp = true
    events.readAll(
      TopicPartition(.turnsRequests, owner.partition), from: owner.consumed.requests,
      { [self] record in
        guard record.offset >= owner.consumed.requests else { return true }
        let confirmed = owner.confirmed.removeValue(forKey: record.offset)
        guard let request = TurnRequest(record: record) else {
          refuse(record, owner, reason: "no_turn_event")
          return true
        }
        if partition(ofSession: request.sessionID, count: partitions.count) != owner.partition {
          refuse(record, owner, reason: "wrong_partition")
        } else {
          let counting = take(request, at: record.offset, appended: record.appendTime, owner)
          confirmed?.onTaken(counting)
          if counting == nil { refuse(record, owner, reason: "session_not_found") }
        }
        return true
      },
      completion: { [self] result in
        owner.isCatchingUp = false
        // What was acknowledged after the last page was read.
        if case .success = result { drainConfirmed(owner) }
        if case .failure(let error) = result { completion(error) } else { completion(nil) }
      })
  }

  /// Takes one TurnEvent (SEMANTICS D10, D12): recorded as accepted before it waits in its queue.
  /// Returns the turn that counts, an earlier one where the key named one; nil when it is refused.
  private func take(
    _ request: TurnRequest, at offset: UInt64, appended: Timestamp, _ owner: PartitionOwner
  ) -> ULID? {
    guard offset >= owner.consumed.requests, let journal = owner.journal else {
      return request.turnID
    }
    owner.consumed.requests = offset + 1
    guard sessionOfTurn[request.turnID] == nil else { return request.turnID }
    let session = session(request.sessionID, request.principal)
    guard session.belongs(to: request.principal) else { return nil }
    if let key = request.idempotencyKey {
      session.forgetKeys(
        before: request.createdAt.adding(Nanoseconds(-EngineLimits.idempotencyKept.count)))
      // One that has not been taken stands further on, and the first on the log wins.
      if let known = session.idempotency[key], known.turnID != request.turnID,
        sessionOfTurn[known.turnID] != nil
      {
        return known.turnID
      }
      session.idempotency[key] = SessionState.IdempotentTurn(
        turnID: request.turnID, bodyDigest: request.bodyDigest, createdAt: request.createdAt)
    }
    accept(request, at: offset, session, journal)
    if appended.since(request.createdAt) > EngineLimits.staleAfter, let live = live[request.turnID]
    {
      end(live, TurnFailure(.staleTurn, "the turn was older than 24 h when it came"))
    }
    runNext(in: session)
    return request.turnID
  }

  private func accept(
    _ request: TurnRequest, at offset: UInt64, _ session: SessionState,
    _ journal: PartitionJournal
  ) {
    let personality = services.personalities.personality(id: request.personalityID)
    let responses = TopicPartition(.turnsResponses, session.partition)
    let accepted = TurnAccepted(
      request: request, packDigest: personality?.digest ?? "", requestOffset: offset,
      responsesOffset: events.bus.endOffset(of: responses))
    let live = LiveTurn(
      machine: TurnMachine(
        request: request, personality: personality ?? .missing(request.personalityID)),
      stream: TurnStream(epoch: journal.stamp.epoch), session: session)
    self.live[request.turnID] = live
    session.turns.append(
      SessionState.TurnReference(
        turnID: request.turnID, status: .queued, createdAt: request.createdAt,
        requestOffset: offset, responsesOffset: accepted.responsesOffset))
    index(request.turnID, session)
    session.queue.append(live)
    record(.accepted(accepted), live)
    if personality == nil {
      end(
        live, TurnFailure(.packUnavailable, "there is no personality \(request.personalityID)"))
    } else {
      armDeadline(live)
    }
  }

  /// What is no turn of this partition goes to the dead letters with its reason (SEMANTICS D2).
  private func refuse(_ record: PolledRecord, _ owner: PartitionOwner, reason: String) {
    owner.consumed.requests = record.offset + 1
    let payload: JSON = [
      "reason": .string(reason), "topic": .string(Topic.turnsRequests.name),
      "partition": .int(Int64(owner.partition)), "offset": .int(Int64(record.offset)),
      "data_base64": .string(Base64.encode(record.payloadBytes)),
    ]
    let letter = EventEnvelope(
      eventID: publishedEventID(ULID(value: record.id), .deadLetters), type: "DeadLetterEvent.v1",
      timestamp: now,
      traceID: events.makeTraceID()
    ).record(payload: payload.encoded)
    let target = TopicPartition(.deadLetters, owner.partition)
    events.bus.append([PartitionBatch(target, [letter])]) { [logger] result in
      if case .failure(let error) = result {
        logger.error("dead letter lost", ["error": .string("\(error)")])
      }
    }
  }
}

extension Problem {
  /// What a client is told when its event could not be appended.
  /// `turnID` is the turn whose event it was.
  init(_ error: BusError, turnID: ULID? = nil) {
    switch error {
    case .diskFull:
      self.init(.diskFull, "the disk of the log is full", retryAfterSeconds: 1)
    case .unavailable(let reason):
      self.init(.busUnavailable, "the log does not take events: \(reason)", retryAfterSeconds: 5)
    case .unconfirmed(let reason):
      self.init(
        .turnUnconfirmed,
        "the log failed while it took \(turnID.map { "turn \($0)" } ?? "the event"), "
          + "which may be there after its next start: \(reason)",
        turnID: turnID, retryAfterSeconds: 5)
    case .recordTooLarge(let limit):
      self.init(.fieldInvalid, "the turn is larger than the log's limit of \(limit) bytes")
    case .unknownPartition, .damaged, .belowStart, .leaseExceeded:
      self.init(.busUnavailable, "the session's partition does not serve", retryAfterSeconds: 5)
    }
  }
}
