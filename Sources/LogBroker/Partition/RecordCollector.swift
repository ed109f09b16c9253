import Base
import Events
import Iggy

/// Gathers the records of a poll, frame by frame, until the poll has enough.
struct RecordCollector {
  private(set) var records: [PolledRecord] = []
  let seek: Seek
  private let countMax: Int
  private let bytesMax: Int
  /// The first offset there is.
  private let floor: UInt64
  /// Offsets that are known to have no record.
  private let gaps: [Range<UInt64>]
  private var bytes = 0
  /// The offset that has to come next; nil before the first record of a poll by time.
  private(set) var expected: UInt64?

  init(seek: Seek, of log: PartitionLog, countMax: Int, bytesMax: Int) {
    floor = log.firstOffset
    gaps = log.gaps
    self.seek = seek
    self.countMax = countMax
    self.bytesMax = bytesMax
    if case .offset(let offset) = seek { expected = offset }
  }

  /// Records are missing behind those gathered; the next poll begins there.
  private var isCut = false

  var isFull: Bool {
    isCut || records.count >= countMax || (!records.isEmpty && bytes >= bytesMax)
  }

  /// Why a frame's records are not what should come next.
  enum Problem: Error {
    case malformed(WireError)
    /// The record of this offset is missing.
    case gap(at: UInt64)
  }

  /// Adds records of a frame of `log`; returns why they cannot be taken.
  mutating func add(
    _ storage: SharedBytes, frame: Range<Int>, of log: PartitionLog
  ) -> String? {
    let (readable, range): (SharedBytes, Range<Int>)
    do throws(BatchCipher.Problem) {
      (readable, range) = try log.batch(storage, frame: frame)
    } catch { return "\(error)" }
    do throws(Problem) { try add(readable, batch: range) } catch { return "\(error)" }
    return nil
  }

  /// Adds records of the batch at `range` of `storage` until the poll is full. Batches before the
  /// wanted record add nothing.
  mutating func add(_ storage: SharedBytes, batch range: Range<Int>) throws(Problem) {
    do throws(WireError) {
      let view = try BatchView(storage.bytes.slice(range))
      var cursor = BatchView.Cursor(view)
      while !isFull, let message = try cursor.next() {
        take(message, time: view.header.baseTimestamp, storage, at: range.lowerBound)
      }
    } catch {
      throw .malformed(error)
    }
    if isCut, records.isEmpty, let expected { throw .gap(at: expected) }
  }

  private mutating func take(
    _ message: BatchView.Message, time: UInt64, _ storage: SharedBytes, at start: Int
  ) {
    if message.offset < expected ?? floor { return }
    if let expected, message.offset > expected,
      !gaps.contains(where: { $0.contains(expected) && $0.upperBound == message.offset })
    {
      isCut = true
      return
    }
    expected = message.offset + 1
    bytes += message.frame.count
    records.append(
      PolledRecord(
        offset: message.offset, appendTime: Timestamp(microseconds: Int64(clamping: time)),
        id: message.header.id, storage: storage, payload: message.payload.shifted(by: start),
        headers: message.userHeaders.shifted(by: start)))
  }
}

extension Range<Int> {
  fileprivate func shifted(by amount: Int) -> Range<Int> {
    lowerBound + amount..<upperBound + amount
  }
}
