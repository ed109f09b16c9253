import Base
import Events

/// One partition this node owns: its journal, how far its inputs are consumed, and the turns that
/// are resumed one at a time after repeated deaths.
final class PartitionOwner {
  let partition: Int
  /// Nil until the partition has been taken.
  var journal: PartitionJournal?
  /// The claim is settled.
  var isClaimed = false
  /// What came while nobody owned the partition is taken.
  var hasRead = false
  /// Turns may run.
  var isOpen: Bool { isClaimed && hasRead }
  /// Sessions whose next turn waits for that, in the order they were let through.
  var sessionsToRun: [SessionState] = []
  /// Why it serves nobody; nil while it does.
  var fault: String?
  /// Turns whose TurnEvent is acknowledged and whose turn it is not yet, by offset.
  var confirmed: [UInt64: TurnRequest] = [:]
  var isCatchingUp = false
  /// The group offset on the bus is behind, and will be stored soon.
  var isOffsetDue = false
  /// Turns that wait to be resumed alone (SEMANTICS D19), and the one that is being.
  var aloneQueue: [LiveTurn] = []
  var alone: LiveTurn?

  init(partition: Int) { self.partition = partition }

  /// The next offsets of requests and control to read.
  var consumed: InputOffsets {
    get { journal?.stamp.consumed ?? InputOffsets(requests: 0, control: 0) }
    set { journal?.stamp.consumed = newValue }
  }
}
