import Base
import Iggy

/// Offsets of a partition that may have been given out without being durable, as the body of a
/// frame that is durable before the first of them: boot id (u128), `start` and `end` (u64 each).
///
/// When the machine has been started anew since, records up to `end` may have been acknowledged and
/// lost: the next one gets `end`, so that no offset is given out twice.
struct OffsetReservation: Hashable {
  static let length = 32
  /// Offsets a reservation covers beyond what is known to be used; each costs one sync.
  static let step: UInt64 = 1 << 20

  /// Of the machine when the reservation was made.
  var boot: UInt128
  /// Where the partition ended then: records below it that are not there are known to be missing.
  var start: UInt64
  var end: UInt64

  init(boot: UInt128, start: UInt64, end: UInt64) {
    self.boot = boot
    self.start = start
    self.end = end
  }

  init?(_ body: UnsafeRawBufferPointer) {
    guard body.count == Self.length else { return nil }
    boot = body.littleEndian(at: 0)
    start = body.littleEndian(at: 16)
    end = body.littleEndian(at: 24)
    guard start <= end else { return nil }
  }

  func write(to body: UnsafeMutableRawBufferPointer) {
    body.storeLittleEndian(boot, at: 0)
    body.storeLittleEndian(start, at: 16)
    body.storeLittleEndian(end, at: 24)
  }
}
