package import Base

/// The `[engine]` table and what else bounds the engine.
package struct EngineOptions: Sendable {
  /// Who this node is, in claims.
  package var node = "node"
  /// Waiting turns a session holds beside the running one; more are refused `queue_full`.
  package var queueMax = 16
  /// From a turn's creation to its end, when the request names no deadline.
  package var turnDeadline = Nanoseconds.seconds(600)
  package var stepTimeout = Nanoseconds.seconds(300)
  /// Rounds of tool calls in a turn; after them the turn is `steps_exhausted`.
  package var toolRoundsMax = 8
  /// Take-overs of a turn whose steps never finish; then it is `poison` (SEMANTICS D19).
  package var takeoversMax = 5
  /// An effect begins at most this long after its `started` was sent to the log (D15).
  package var lease = Nanoseconds.seconds(2)
  /// Tokens of session history in a prompt, unless the pack says otherwise.
  package var historyTokens = 2_000

  package init() {}
}

/// Bounds that no configuration moves, with the reason for each.
enum EngineLimits {
  /// A timer runs so long at most and is set again; centuries would overflow the clock.
  static let timerMax = Nanoseconds.seconds(30 * 86_400)
  /// What a stop waits for the log beyond its timeout: a full disk must not hold a process up.
  static let releaseTimeout = Nanoseconds.seconds(10)
  /// Deltas wait so long for company before they go to the log: a commit costs a disk flush, and
  /// clients do not wait for it.
  static let publishDelay = Nanoseconds.milliseconds(20)
  /// The consumer group's offset is stored this long after it advanced: it only tells the lag.
  static let groupOffsetDelay = Nanoseconds.milliseconds(200)
  /// The consumer group of nodes on requests (SEMANTICS D6).
  static let group = "engine"
  /// A commit that failed is tried again after this; the disk may have space again.
  static let appendRetryDelay = Nanoseconds.milliseconds(200)
  /// Records read from the bus in one poll while folding.
  static let pollCount = 4_096
  static let pollBytes = 4 << 20
  /// Message text of ended turns that is kept in memory for the next prompt, over all sessions.
  static let historyCacheBytes = 6 << 20
  /// Streams of ended turns kept in memory for clients that re-attach, in bytes.
  static let streamCacheBytes = 3 << 20
  /// Steps in a turn's plan, over all revisions: tool rounds times calls, and repairs.
  static let planStepsMax = 2_048
  /// Tool calls a model may ask for at once; providers allow as many.
  static let toolCallsMax = 128
  /// Bytes of records that go to the bus in one append; more follow in the next.
  static let appendBytes = 4 << 20
  /// Bytes of tool results that an ended turn leaves in its session's history. Results beyond are
  /// left out of it, so that the record of the end stays far below the bus' limit.
  static let historyResultBytes = 1 << 20
  /// How old a TurnEvent may be when it is appended (SEMANTICS D10).
  static let staleAfter = Nanoseconds.seconds(24 * 3_600)
  /// How long an idempotency key is remembered (SEMANTICS D25).
  static let idempotencyKept = Nanoseconds.seconds(24 * 3_600)
  /// Characters of a passage that stand in `sources[].quote`.
  static let quoteCharacters = 240
  /// The version of the rules by which journal records are folded (SEMANTICS D40).
  static let foldVersion = 1
}
