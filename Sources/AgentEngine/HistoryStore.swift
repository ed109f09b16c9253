import Base
import Events

/// What sessions remember: messages of ended turns, read from the log and cached while there is
/// room. The log is the record; the cache only saves reading it (SEMANTICS D1).
final class HistoryStore {
  private let events: EventPublisherSubscriber
  private var cachedBytes = 0
  private var useCount: UInt64 = 0

  init(events: EventPublisherSubscriber) { self.events = events }

  /// The messages one ended turn adds to its session: the user's, what tools said, the answer.
  static func exchange(userMessage: String, _ ended: TurnEnded) -> ContextManager.Exchange {
    var messages = [ChatMessage(.user, userMessage)] + ended.messages
    // A turn that was stopped in a round of tools has its last words beside the tools' calls.
    let isTold =
      ended.status != .completed
      && ended.messages.last { $0.role == .assistant }?.text == ended.answer
    if !ended.answer.isEmpty, !isTold { messages.append(ChatMessage(.assistant, ended.answer)) }
    return messages
  }

  /// Keeps an ended turn's messages for the next prompt of its session.
  func keep(
    _ exchange: ContextManager.Exchange, at index: Int, in session: SessionState,
    evictingFrom sessions: () -> [SessionState]
  ) {
    session.turns[index].exchange = exchange
    cachedBytes += Self.bytes(exchange)
    touch(session)
    if cachedBytes > EngineLimits.historyCacheBytes { evict(sessions()) }
  }

  /// The newest exchanges before the turn that fit into `tokens`, oldest first. A turn that waited
  /// behind it and was cancelled meanwhile is not before it.
  func recent(
    before turnID: ULID, of session: SessionState, tokens: Int,
    completion: @escaping (Result<[ContextManager.Exchange], BusError>) -> Void
  ) {
    touch(session)
    let indices = session.turns[..<(session.index(of: turnID) ?? 0)].indices
      .filter { session.turns[$0].endedOffset != nil }
    collect(session, Array(indices.reversed()), 0, tokens, [], completion)
  }

  /// Every exchange of the ended turns in `indices`, in that order.
  func all(
    of session: SessionState, indices: [Int],
    completion: @escaping (Result<[ContextManager.Exchange], BusError>) -> Void
  ) {
    collect(session, indices, 0, Int.max, []) { result in
      completion(result.map { $0.reversed() })
    }
  }

  private func collect(
    _ session: SessionState, _ newestFirst: [Int], _ position: Int, _ tokensLeft: Int,
    _ found: [ContextManager.Exchange],
    _ completion: @escaping (Result<[ContextManager.Exchange], BusError>) -> Void
  ) {
    var found = found
    var left = tokensLeft
    for position in position..<newestFirst.count {
      guard left > 0 else { break }
      let reference = session.turns[newestFirst[position]]
      guard let exchange = reference.exchange else {
        return load(reference, session) { [self] result in
          switch result {
          case .failure(let error): completion(.failure(error))
          case .success(let exchange):
            let cost = Self.tokens(exchange)
            collect(
              session, newestFirst, position + 1, left == Int.max ? left : left - cost,
              found + [exchange], completion)
          }
        }
      }
      found.append(exchange)
      if left != Int.max { left -= Self.tokens(exchange) }
    }
    completion(.success(found.reversed()))
  }

  private func load(
    _ reference: SessionState.TurnReference, _ session: SessionState,
    completion: @escaping (Result<ContextManager.Exchange, BusError>) -> Void
  ) {
    let requests = TopicPartition(.turnsRequests, session.partition)
    events.read(requests, at: reference.requestOffset) { [self] result in
      switch result {
      case .failure(let error): completion(.failure(error))
      case .success(let record):
        let message = record.flatMap { TurnRequest(record: $0)?.userMessage } ?? ""
        ended(reference, session.partition) { result in
          completion(
            result.map { ended in
              ended.map { Self.exchange(userMessage: message, $0) }
                ?? [ChatMessage(.user, message)]
            })
        }
      }
    }
  }

  /// The record that ended a turn, read from the journal; nil when it is not there any more.
  func ended(
    _ reference: SessionState.TurnReference, _ partition: Int,
    completion: @escaping (Result<TurnEnded?, BusError>) -> Void
  ) {
    guard let offset = reference.endedOffset else { return completion(.success(nil)) }
    events.read(TopicPartition(.journal, partition), at: offset) { result in
      completion(
        result.map { record in
          guard let record, let envelope = EnvelopeScanner(record.payloadBytes),
            case .ended(let ended) = JournalRecord(envelope)
          else { return nil }
          return ended
        })
    }
  }

  private func touch(_ session: SessionState) {
    useCount += 1
    session.lastUse = useCount
  }

  /// Down to half of what is allowed, beginning with the session used longest ago.
  private func evict(_ sessions: [SessionState]) {
    for session in sessions.sorted(by: { $0.lastUse < $1.lastUse }) {
      guard cachedBytes > EngineLimits.historyCacheBytes / 2 else { return }
      for index in session.turns.indices {
        guard let exchange = session.turns[index].exchange else { continue }
        cachedBytes -= Self.bytes(exchange)
        session.turns[index].exchange = nil
      }
    }
  }

  /// What a message in memory takes beside its text.
  private static let messageOverhead = 192

  private static func bytes(_ exchange: ContextManager.Exchange) -> Int {
    exchange.reduce(0) { $0 + $1.text.utf8.count + messageOverhead }
  }

  private static func tokens(_ exchange: ContextManager.Exchange) -> Int {
    exchange.reduce(0) { $0 + ContextManager.tokens(in: $1.text) }
  }
}
