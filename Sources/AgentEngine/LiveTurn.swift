import Base
import Events

/// A turn that has not ended: its machine, its stream, and what runs for it.
final class LiveTurn {
  var machine: TurnMachine
  var stream: TurnStream
  unowned let session: SessionState
  /// Steps under way, by index.
  var executions: [Int: StepExecution] = [:]
  var subscribers: [Subscription] = []
  var deadlineTimer: (any Cancellable)?
  /// When it began to run in this epoch; nil while it is queued.
  var startedAt: Nanoseconds?
  /// Time of this epoch that its steps took, which is not the node's.
  var stepTime = Nanoseconds.zero
  /// Stream events that subscribers have not been handed yet.
  var unshown: [StreamEvent] = []
  /// Text of the running LLM step that is not yet a delta.
  var unsentText = ""
  var isFlushScheduled = false
  /// The terminal is recorded; it is shown when it is settled.
  var isEnding = false
  /// Left for the next owner while the node stops: nothing more is recorded about it.
  var isAbandoned = false
  /// Called once the end is settled.
  var endWaiters: [() -> Void] = []
  /// From a take-over that must not happen to several turns at once (SEMANTICS D19).
  var resumesAlone = false

  init(machine: TurnMachine, stream: TurnStream, session: SessionState) {
    self.machine = machine
    self.stream = stream
    self.session = session
  }

  var request: TurnRequest { machine.request }
  var turnID: ULID { machine.request.turnID }

  var labels: PartitionJournal.Labels {
    PartitionJournal.Labels(
      traceID: request.traceID, tenantID: request.principal.tenantID,
      sessionID: request.sessionID)
  }

  /// Calls are aborted, and nothing more is recorded: its next owner runs them again.
  func abandon() {
    for execution in executions.values { execution.abort() }
    executions = [:]
    isEnding = true
    isAbandoned = true
    deadlineTimer?.cancel()
  }

  func takeSubscribers() -> [Subscription] {
    defer { subscribers = [] }
    return subscribers
  }

  var status: TurnStatus { startedAt == nil ? .queued : .running }
}

/// A step under way: how to stop it, and what it has said.
final class StepExecution {
  let step: PlannedStep
  let startedAt: Nanoseconds
  var cancellable: (any Cancellable)?
  var timeout: (any Cancellable)?
  /// Of an LLM step's prompt, estimated: what a call that tells no usage is charged.
  var promptTokens = 0
  /// Text of an LLM step that stands so far.
  var text = ""
  var isOver = false

  init(step: PlannedStep, startedAt: Nanoseconds) {
    self.step = step
    self.startedAt = startedAt
  }

  /// Stops the step; nothing of it is heard any more.
  func abort() {
    cancellable?.cancel()
    finish()
  }

  /// The step is over: what ran for it is let go. A call knows whom it tells, and that is this
  /// execution; as long as it held the call neither would be freed.
  func finish() {
    isOver = true
    timeout?.cancel()
    timeout = nil
    cancellable = nil
  }
}

/// A client that watches a turn.
final class Subscription: Cancellable {
  private(set) var subscriber: (any TurnStreamSubscriber)?

  init(_ subscriber: any TurnStreamSubscriber) { self.subscriber = subscriber }

  var isCancelled: Bool { subscriber == nil }

  func cancel() { subscriber = nil }
}
