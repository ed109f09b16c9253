import Base
import Events
import UringIO

/// An engine that answers what the test says, later, on the loop.
final class FakeTurns: TurnService {
  final class Attachment: Cancellable {
    let turnID: ULID
    let lastEventID: String?
    weak var subscriber: (any TurnStreamSubscriber)?
    private(set) var isCancelled = false

    init(_ turnID: ULID, _ lastEventID: String?, _ subscriber: any TurnStreamSubscriber) {
      self.turnID = turnID
      self.lastEventID = lastEventID
      self.subscriber = subscriber
    }

    func cancel() { isCancelled = true }
  }

  static let turnID = ULID("01ARZ3NDEKTSV4RRFFQ69G5FAV")!

  private let loop: EventLoop
  private(set) var submissions: [TurnSubmission] = []
  private(set) var attachments: [Attachment] = []
  private(set) var cancelled: [ULID] = []
  private(set) var listed: [(limit: Int, cursor: ULID?)] = []

  var admission: Result<TurnAdmission, Problem> = .success(
    TurnAdmission(turnID: FakeTurns.turnID, sessionID: "s", replayed: false))
  /// Submissions wait until `release`.
  var holdsSubmissions = false
  private var held: [() -> Void] = []
  var resources: [TurnResource] = []
  var attachProblem: Problem?
  /// The position after which nothing follows.
  var terminalID: String?
  var hadEnded = false
  var histories: [String: [HistoryItem]] = [:]

  init(loop: EventLoop) { self.loop = loop }

  func release() {
    let all = held
    held = []
    for body in all { body() }
  }

  func submit(
    _ submission: TurnSubmission, completion: @escaping (Result<TurnAdmission, Problem>) -> Void
  ) {
    submissions.append(submission)
    let body = { [self] in completion(admission) }
    if holdsSubmissions { held.append(body) } else { loop.enqueue(body) }
  }

  func turn(
    _ turnID: ULID, for principal: Principal,
    completion: @escaping (Result<TurnResource, Problem>) -> Void
  ) {
    let found = resources.first { $0.turnID == turnID }
    loop.enqueue { completion(found.map { .success($0) } ?? .failure(Self.notFound)) }
  }

  func turns(
    for principal: Principal, limit: Int, before cursor: ULID?,
    completion: @escaping (Result<[TurnResource], Problem>) -> Void
  ) {
    listed.append((limit, cursor))
    let older = resources.filter { cursor == nil || $0.turnID < cursor! }
    loop.enqueue { completion(.success(Array(older.prefix(limit)))) }
  }

  func attach(
    _ turnID: ULID, for principal: Principal, after lastEventID: String?,
    subscriber: any TurnStreamSubscriber,
    completion: @escaping (Result<AttachOutcome, Problem>) -> Void
  ) {
    loop.enqueue { [self] in
      if let attachProblem { return completion(.failure(attachProblem)) }
      if let terminalID, lastEventID == terminalID { return completion(.success(.ended)) }
      let attachment = Attachment(turnID, lastEventID, subscriber)
      attachments.append(attachment)
      completion(.success(.attached(attachment)))
    }
  }

  func cancel(
    _ turnID: ULID, for principal: Principal, traceID: String,
    completion: @escaping (Result<(resource: TurnResource, hadEnded: Bool), Problem>) -> Void
  ) {
    cancelled.append(turnID)
    let found = resources.first { $0.turnID == turnID }
    loop.enqueue { [hadEnded] in
      completion(
        found.map { .success((resource: $0, hadEnded: hadEnded)) } ?? .failure(Self.notFound))
    }
  }

  func session(
    _ sessionID: String, for principal: Principal,
    completion: @escaping (Result<SessionResource, Problem>) -> Void
  ) {
    let found = histories[sessionID].map { items in
      SessionResource(
        sessionID: sessionID, turnCount: Set(items.map(\.turnID)).count,
        createdAt: items[0].createdAt, updatedAt: items[items.count - 1].createdAt)
    }
    loop.enqueue { completion(found.map { .success($0) } ?? .failure(Self.noSession)) }
  }

  /// `limit` counts items here.
  func history(
    session sessionID: String, for principal: Principal, limit: Int, after cursor: ULID?,
    completion: @escaping (Result<HistoryPage, Problem>) -> Void
  ) {
    let found = histories[sessionID].map { items in
      let rest = items.filter { cursor == nil || $0.turnID > cursor! }
      let shown = Array(rest.prefix(limit))
      return HistoryPage(
        items: shown, nextCursor: rest.count > limit ? shown.last?.turnID : nil)
    }
    loop.enqueue { completion(found.map { .success($0) } ?? .failure(Self.noSession)) }
  }

  private static let noSession = Problem(.sessionNotFound, "no such session")
  private static let notFound = Problem(.turnNotFound, "there is no such turn")
}
