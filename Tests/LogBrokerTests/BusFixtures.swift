import Base
import Events
import Iggy
import LogBroker

/// Records and readings that the tests of this module share.
enum BusFixtures {
  static func record(_ number: Int, bytes: Int = 20) -> BusRecord {
    var payload = Array("{\"n\":\(number)}".utf8)
    while payload.count < bytes { payload.append(UInt8(ascii: " ")) }
    return BusRecord(
      eventID: ULID(value: UInt128(number) << 8 | 5), type: "TestEvent.v1", payload: payload)
  }

  static func number(_ record: PolledRecord) -> Int { Int(record.id >> 8) }

  static let key = LogKey(String(repeating: "5a", count: LogKey.length))

  /// A small log that writes single records of 3,000 bytes directly, a block each, to segments of
  /// `segmentBlocks` blocks.
  static func directOptions(
    _ disk: SimulatedDisk, _ loop: SimulatedLoop, segmentBlocks: Int
  ) -> EmbeddedBusOptions {
    var options = EmbeddedBusOptions(
      storage: disk, loop: loop, logger: BusFixtures.logger(), dataDirectory: "simulated")
    options.partitions = 2
    options.limits.journalBytes = 64 << 10
    options.limits.directBytesMin = 1_200
    options.limits.segmentBytesMax = segmentBlocks * LogLimits.blockBytes
    return options
  }

  static func logger() -> Logger {
    Logger(module: "test", ring: LogRing(), clock: SystemClock())
  }
}

extension PolledRecord {
  /// A string header's value.
  func header(_ key: StaticString) -> String? {
    UserHeaders(storage.bytes.slice(headers)).value(of: key).map {
      String(decoding: $0, as: UTF8.self)
    }
  }
}
