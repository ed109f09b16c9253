import Events

/// One look at what is pending: which entries may go now. Nothing of a partition overtakes anything
/// else of it, and nothing of it is on the journal and written directly at the same time.
struct CommitOrder {
  private var marked: [PartitionLog] = []

  /// What entries before the one looked at did with a partition.
  enum Mark {
    case none, begins, joins, waits
  }

  /// Whether a batch of `log` may be written directly now.
  mutating func mayBegin(_ log: PartitionLog, hasRoom: Bool) -> Bool {
    let isFree =
      hasRoom && (log.mark == .none || log.mark == .begins) && !log.isOnJournal
      && log.directs.given == 0 && log.unflushedBytes == 0 && !log.isFlushing
    mark(log, isFree ? .begins : .waits)
    return isFree
  }

  /// Whether an entry of `logs` may be part of the next group.
  mutating func mayJoin(_ logs: [PartitionLog]) -> Bool {
    let isFree = logs.allSatisfy {
      ($0.mark == .none || $0.mark == .joins) && $0.directs.isEmpty
    }
    for log in logs { mark(log, isFree ? .joins : .waits) }
    return isFree
  }

  private mutating func mark(_ log: PartitionLog, _ mark: Mark) {
    if log.mark == .none { marked.append(log) }
    log.mark = mark
  }

  /// The look is over.
  mutating func end() {
    for log in marked { log.mark = .none }
    marked = []
  }
}

extension PartitionLog {
  /// Whether a commit group that is under way has records of it.
  var isOnJournal: Bool { mintedOffset > endOffset && directs.writes.isEmpty }

  /// The group that is under way failed.
  func rollBack() { mintedOffset = endOffset }
}

extension PendingCommits.Work {
  /// The partitions whose order it has a place in.
  func logs(_ table: PartitionTable) -> [PartitionLog] {
    switch self {
    case .append(let batches):
      batches.compactMap { $0.records.isEmpty ? nil : table.log($0.target) }
    case .batch(_, let log): [log]
    case .offset, .segment, .cut: []
    }
  }
}
