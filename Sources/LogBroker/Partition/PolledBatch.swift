package import Events
import Iggy

/// A batch as it is stored, in memory that is leased: nothing of it is copied.
package struct PolledBatch {
  /// The first record that was asked for; those before it are in the batch all the same.
  package let first: UInt64
  /// The offset after its last record.
  package let end: UInt64
  package var storage: SharedBytes
  /// In `storage`: the batch as Iggy has it, header and messages.
  package let range: Range<Int>

  package var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: storage.bytes[range])
  }
}

/// What a poll for batches gave.
package struct PolledBatches {
  package var batches: [PolledBatch]
  /// The offset after the last record there is.
  package let endOffset: UInt64
}

/// Gathers the batches of a poll, frame by frame, until there is enough.
struct BatchCollector {
  private(set) var found: [(first: UInt64, end: UInt64, body: Range<Int>)] = []
  /// The offset that has to come next.
  private(set) var expected: UInt64
  private let bytesMax: Int
  private let gaps: [Range<UInt64>]
  private var bytes = 0
  private var isCut = false

  init(from offset: UInt64, of log: PartitionLog, bytesMax: Int) {
    expected = offset
    gaps = log.gaps
    self.bytesMax = bytesMax
  }

  var isFull: Bool { isCut || (!found.isEmpty && bytes >= bytesMax) }

  /// Takes a batch, the body of which is at `body`, unless all of it is before what is wanted.
  /// Returns whether it could: false when records between are missing and none were gathered.
  mutating func take(base: UInt64, count: UInt32, body: Range<Int>) -> Bool {
    let end = base + UInt64(count)
    guard end > expected else { return true }
    if base > expected,
      !gaps.contains(where: { $0.contains(expected) && $0.upperBound == base })
    {
      isCut = true
      return !found.isEmpty
    }
    found.append((max(base, expected), end, body))
    expected = end
    bytes += body.count
    return true
  }

  /// What was gathered out of `part`. `lease` makes a range of it last, and says where in the part
  /// that begins; it is called once at most.
  func batches(
    of log: PartitionLog, in part: UnsafeRawBufferPointer,
    lease: (Range<Int>) -> (SharedBytes, Int)
  ) throws(BatchCipher.Problem) -> [PolledBatch] {
    guard let first = found.first, let last = found.last else { return [] }
    var leased: (storage: SharedBytes, origin: Int)?
    var batches: [PolledBatch] = []
    batches.reserveCapacity(found.count)
    for (from, end, body) in found {
      let frame = part.slice(body.lowerBound - FrameHeader.length..<body.upperBound)
      if FrameHeader.isEnciphered(frame), let plain = try log.deciphered(frame) {
        batches.append(
          PolledBatch(first: from, end: end, storage: plain, range: 0..<plain.bytes.count))
        continue
      }
      let (storage, origin) =
        leased ?? lease(first.body.lowerBound..<last.body.upperBound)
      leased = (storage, origin)
      batches.append(
        PolledBatch(
          first: from, end: end, storage: storage,
          range: body.lowerBound - origin..<body.upperBound - origin))
    }
    return batches
  }
}
