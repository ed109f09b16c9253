import Base
import Events

/// What the owner knows of a session: who it belongs to, its turns in order, what waits.
final class SessionState {
  /// One turn, reduced to where the log has it.
  struct TurnReference {
    var turnID: ULID
    var status: TurnStatus
    var createdAt: Timestamp
    var requestOffset: UInt64
    /// Where its stream begins on responses/p, or later.
    var responsesOffset: UInt64
    /// Of the journal record that ended it.
    var endedOffset: UInt64?
    /// Its messages, as long as they are worth their memory.
    var exchange: ContextManager.Exchange?
  }

  struct IdempotentTurn {
    var turnID: ULID
    var bodyDigest: String
    var createdAt: Timestamp
  }

  let id: String
  let partition: Int
  let principal: Principal
  var turns: [TurnReference] = []
  /// Taken and not yet running, in order.
  var queue: [LiveTurn] = []
  var running: LiveTurn?
  /// A turn of it has records of a version that is not folded here: its turns stay queued until
  /// their deadline (SEMANTICS D34).
  var isParked = false
  /// Submitted, and not yet acknowledged by the bus.
  var unconfirmed = 0
  var idempotency: [String: IdempotentTurn] = [:]
  /// Rises with use; the sessions used longest ago lose their cached messages first.
  var lastUse: UInt64 = 0

  init(id: String, partition: Int, principal: Principal) {
    self.id = id
    self.partition = partition
    self.principal = principal
  }

  func belongs(to other: Principal) -> Bool {
    principal.subject == other.subject && principal.tenantID == other.tenantID
  }

  /// Turns that run, wait, or are about to.
  var unended: Int { queue.count + unconfirmed + (running == nil ? 0 : 1) }

  func index(of turnID: ULID) -> Int? { turns.lastIndex { $0.turnID == turnID } }

  /// Drops keys that are older than they are kept.
  func forgetKeys(before time: Timestamp) {
    guard !idempotency.isEmpty else { return }
    idempotency = idempotency.filter { $0.value.createdAt >= time }
  }
}
