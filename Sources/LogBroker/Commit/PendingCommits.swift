import Events

/// What waits for a commit, in the order it was handed in.
struct PendingCommits {
  enum Work {
    case append([PartitionBatch])
    case offset(GroupOffset, PartitionLog)
    /// One batch that is encoded already.
    case batch(OutgoingBatch, PartitionLog)
    /// Frames are being written to the segment directly.
    case segment(Segment, PartitionLog)
    /// Records below the offset go.
    case cut(UInt64, PartitionLog)
  }

  struct Entry {
    let work: Work
    /// What its frames take at most.
    let bytes: Int
    /// Written straight to its segment.
    var isDirect = false
    /// Whether it is acknowledged after a sync, or when the kernel has it.
    var durability = Durability.persisted
    /// Gets the first offset of each batch.
    let completion: (Result<[UInt64], BusError>) -> Void

    /// For an append without records: where its batches would have begun.
    func firstOffsets(_ table: PartitionTable) -> [UInt64] {
      guard case .append(let batches) = work else { return [] }
      return batches.map { table.log($0.target).mintedOffset }
    }
  }

  private var entries: [Entry] = []
  private var head = 0
  private(set) var bytes = 0
  /// Entries that are to be written directly.
  private(set) var directs = 0

  var isEmpty: Bool { head == entries.count }

  mutating func add(_ entry: Entry) {
    entries.append(entry)
    bytes += entry.bytes
    if entry.isDirect { directs += 1 }
  }

  /// The entries of the next group: as many of one durability, of the first `countMax`, as fit into
  /// `bytesMax`, at least one.
  func peekGroup(bytesMax: Int, countMax: Int) -> [Entry] {
    let last = head + min(entries.count - head, countMax)
    var end = head
    var sum = 0
    while end < last,
      end == head
        || (sum + entries[end].bytes <= bytesMax
          && entries[end].durability == entries[head].durability)
    {
      sum += entries[end].bytes
      end += 1
    }
    return Array(entries[head..<end])
  }

  enum Verdict {
    /// It is taken out and handed back.
    case begin
    /// It may be part of the next group.
    case join
    case wait
  }

  /// Looks at all entries in order. Those that may join come first afterwards; returns those to
  /// begin with directly, and how many may join.
  mutating func sift(_ decide: (Entry) -> Verdict) -> (begun: [Entry], joining: Int) {
    var begun: [Entry] = []
    var joining: [Entry] = []
    var waiting: [Entry] = []
    for entry in entries[head...] {
      switch decide(entry) {
      case .begin:
        begun.append(entry)
        bytes -= entry.bytes
        directs -= 1
      case .join: joining.append(entry)
      case .wait: waiting.append(entry)
      }
    }
    let count = joining.count
    joining += waiting
    entries = joining
    head = 0
    return (begun, count)
  }

  mutating func remove(_ count: Int) {
    for entry in entries[head..<head + count] { bytes -= entry.bytes }
    head += count
    if head == entries.count {
      entries.removeAll(keepingCapacity: head <= 1_024)
      head = 0
    } else if head > 1_024 {
      entries.removeFirst(head)
      head = 0
    }
  }

  mutating func takeAll() -> [Entry] {
    defer { self = PendingCommits() }
    return Array(entries[head...])
  }
}
