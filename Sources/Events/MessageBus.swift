package import Base

/// One record to append. On the bus its message id is `eventID`, and its headers repeat `type` and
/// `event_id` so that a router need not parse the payload.
package struct BusRecord: Sendable {
  package var eventID: ULID
  package var type: String
  /// The envelope, as JSON text; never empty.
  package var payload: [UInt8]

  package init(eventID: ULID, type: String, payload: [UInt8]) {
    self.eventID = eventID
    self.type = type
    self.payload = payload
  }
}

package struct TopicPartition: Sendable, Hashable {
  package var topic: Topic
  package var partition: Int

  package init(_ topic: Topic, _ partition: Int) {
    self.topic = topic
    self.partition = partition
  }
}

/// Records for one partition, in order.
package struct PartitionBatch: Sendable {
  package var target: TopicPartition
  package var records: [BusRecord]

  package init(_ target: TopicPartition, _ records: [BusRecord]) {
    self.target = target
    self.records = records
  }
}

package enum BusError: Error, Sendable, Hashable {
  case diskFull
  /// Closed, or storage was fenced after a failed sync; the reason in words.
  case unavailable(String)
  /// The storage failed when the records were already on their way to it: they may be on the log
  /// after its next start, or not.
  case unconfirmed(String)
  /// A record above the bus' limit, in bytes.
  case recordTooLarge(limit: Int)
  case unknownPartition
  /// The records asked for are no longer kept; the first offset there is.
  case belowStart(first: UInt64)
  /// Readers hold more memory, or hold it longer, than they may: let go of what was read and ask
  /// again. The reason in words.
  case leaseExceeded(String)
  /// Damage inside a partition; the others serve.
  case damaged(String)
}

/// Bytes that several records share, valid as long as somebody holds this object.
package final class SharedBytes {
  package let bytes: UnsafeRawBufferPointer
  private let release: (UnsafeRawBufferPointer) -> Void

  /// `release` is called once, with `bytes`, when the last holder lets go.
  package init(
    _ bytes: UnsafeRawBufferPointer, release: @escaping (UnsafeRawBufferPointer) -> Void
  ) {
    self.bytes = bytes
    self.release = release
  }

  deinit { release(bytes) }
}

/// One record read from the bus: ranges of a shared buffer, nothing copied.
package struct PolledRecord {
  package var offset: UInt64
  /// The broker's time of the append.
  package var appendTime: Timestamp
  /// The message id, which is the event's id for records of ours.
  package var id: UInt128
  package var storage: SharedBytes
  package var payload: Range<Int>
  /// Iggy's user headers, TLV encoded.
  package var headers: Range<Int>

  package init(
    offset: UInt64, appendTime: Timestamp, id: UInt128, storage: SharedBytes,
    payload: Range<Int>, headers: Range<Int>
  ) {
    self.offset = offset
    self.appendTime = appendTime
    self.id = id
    self.storage = storage
    self.payload = payload
    self.headers = headers
  }

  package var payloadBytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: storage.bytes[payload])
  }
}

package enum PollStart: Sendable, Hashable {
  case offset(UInt64)
  case timestamp(Timestamp)
  case first
  /// So that the last `count` records are returned.
  case last
}

package struct PollRequest: Sendable {
  package var target: TopicPartition
  package var start: PollStart
  package var countMax: Int
  /// Roughly; at least one record is returned where there is one.
  package var bytesMax: Int

  package init(_ target: TopicPartition, from start: PollStart, countMax: Int, bytesMax: Int) {
    self.target = target
    self.start = start
    self.countMax = countMax
    self.bytesMax = bytesMax
  }
}

package struct PollResult {
  package var records: [PolledRecord]
  /// The offset the next record of this partition will get.
  package var endOffset: UInt64

  package init(records: [PolledRecord], endOffset: UInt64) {
    self.records = records
    self.endOffset = endOffset
  }
}

/// What `kfm topics list` shows of a topic.
package struct TopicStatus: Sendable {
  package var topic: Topic
  package var partitions: Int
  package var messages: Int
  package var bytes: Int

  package init(topic: Topic, partitions: Int, messages: Int, bytes: Int) {
    self.topic = topic
    self.partitions = partitions
    self.messages = messages
    self.bytes = bytes
  }
}

/// The bus (SEMANTICS D5): at least once, order per partition, an acknowledgement that names the
/// offset of a batch's first record and comes after the records are durable.
///
/// An implementation lives on one event loop; calls and completions happen there. Completions
/// never run inside the call that handed them in.
package protocol MessageBus: AnyObject {
  /// Partitions of each session-keyed topic.
  var partitionCount: Int { get }
  func partitionCount(of topic: Topic) -> Int

  /// Appends `batches`; `completion` gets one first offset per batch, in order, once all of them
  /// are durable. Calls are appended in the order they were made. After a failure nothing is known
  /// about what was written.
  func append(
    _ batches: [PartitionBatch],
    completion: @escaping (Result<[UInt64], BusError>) -> Void)

  func poll(
    _ request: PollRequest, completion: @escaping (Result<PollResult, BusError>) -> Void)

  /// Calls `body` whenever durable records were added to the partition. An idle watch costs no CPU.
  func watch(_ target: TopicPartition, _ body: @escaping () -> Void) -> any Cancellable

  /// The offset the next record will get: everything below is durable and can be polled.
  func endOffset(of target: TopicPartition) -> UInt64

  /// Stores a consumer group's offset (the last one consumed) durably; never moves back.
  func storeOffset(
    _ offset: UInt64, group: String, of target: TopicPartition,
    completion: @escaping (Result<Void, BusError>) -> Void)
  func storedOffset(group: String, of target: TopicPartition) -> UInt64?

  func status() -> [TopicStatus]
}
