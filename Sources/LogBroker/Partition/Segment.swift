/// One file of a partition: frames one after the other, from offset `base` on.
final class Segment {
  let base: UInt64
  private let plainPath: String
  /// Names this use of the file, when frames are written to it directly; else 0.
  let id: UInt64
  /// Bytes written; every byte below is a whole frame's, or fills a block up.
  var size: Int
  /// Bytes that are durable.
  var syncedSize: Int
  var index = SparseIndex()
  /// The file while it is open (`SegmentFiles`), and who waits until it is.
  var file: (any LoopFile)?
  var waiters: [SegmentFiles.Opened] = []
  /// What stands behind `size` is of no account and has to go before the first write.
  var needsTruncation = false
  var isNew = false
  /// Nothing more is added to it.
  var isClosed = false
  /// Append time of its first record, µs; 0 while it is empty.
  var firstTime: UInt64 = 0
  /// When its first and its last record were written, µs, for ages (`ClockGuard.stamp`); 0 while
  /// that is not known.
  var openedAt: UInt64 = 0
  var writtenAt: UInt64 = 0
  /// Shorter than it was, or gone: nothing is added to it.
  var isDamaged = false
  /// Header checksum of the frame before its first.
  var chainBefore: UInt32 = 0
  /// For direct writes, while it is open, and who waits until it is.
  var directFile: (any LoopFile)?
  var directWaiters: [SegmentFiles.Opened] = []
  /// Bytes of its file that room was made for.
  var roomBytes = 0
  /// The journal is about to know of it.
  var isRecording = false
  /// A checkpoint or the journal knows of it, durably.
  var isRecorded = false
  /// Its directory entry is durable.
  var isNamed = false

  init(base: UInt64, directory: String, size: Int, id: UInt64 = 0) {
    self.base = base
    self.id = id
    plainPath = "\(directory)/\(Self.fileName(base: base))"
    self.size = size
    syncedSize = size
  }

  /// Bytes of its packed copy, which stands for it then; else 0.
  var packedBytes = 0
  /// It was tried, in vain.
  var cannotBePacked = false

  var isPacked: Bool { packedBytes > 0 }
  var path: String { isPacked ? SegmentPacker.packedPath(plainPath) : plainPath }

  /// Whether a checkpoint may name it though it is empty.
  var isSettled: Bool { id != 0 && isRecorded && isNamed }
  /// Polls that read it at this moment.
  var readers = 0
  /// Its content in memory, while somebody polls it for batches.
  var mapping: MappedFile?
  /// Pieces of such content that readers hold.
  var leases = 0
  var checked = CheckedRanges()
  /// Its file is gone or has become another's.
  var isGone = false

  /// Records from this append time on were added now.
  func noteTime(_ time: UInt64, stamp: UInt64) {
    if firstTime == 0 { firstTime = time }
    if openedAt == 0 { openedAt = stamp }
    writtenAt = stamp
  }

  var isDirty: Bool { size > syncedSize }

  /// 20 digits, so that names sort as numbers do.
  static func fileName(base: UInt64) -> String {
    let digits = String(base)
    return String(repeating: "0", count: 20 - digits.count) + digits + ".log"
  }
}

/// Where some frames of a segment begin. Grows as the segment is written or read from its start;
/// can be dropped at any time.
struct SparseIndex {
  struct Entry {
    var base: UInt64
    /// Append time, µs.
    var time: UInt64
    var position: Int
  }

  private(set) var entries: [Entry] = []
  /// Bytes from the start of the file that have been looked at.
  private(set) var covered = 0

  /// Takes note of a frame; one that does not begin where the last one ended, or at the block
  /// after, is ignored.
  mutating func note(base: UInt64, time: UInt64, position: Int, length: Int) {
    guard position >= covered, position - covered < LogLimits.blockBytes else { return }
    covered = position + length
    if let last = entries.last, position - last.position < LogLimits.indexIntervalBytes { return }
    entries.append(Entry(base: base, time: time, position: position))
  }

  /// Where to begin reading for `seek`: at or before the frame that is wanted.
  func position(for seek: Seek) -> Int {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      let isBehind =
        switch seek {
        case .offset(let offset): entries[middle].base > offset
        case .time(let time): entries[middle].time >= time
        }
      if isBehind { high = middle } else { low = middle + 1 }
    }
    return low > 0 ? entries[low - 1].position : 0
  }
}
