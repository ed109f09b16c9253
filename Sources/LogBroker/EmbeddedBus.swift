package import Base
package import Events
import Iggy

/// What the bus needs of its event loop.
package protocol LogLoop: TimerService {
  /// Runs `body` in this turn or the next, never inside the call.
  func enqueue(_ body: @escaping () -> Void)
  /// Calls `body` in every turn, after all callbacks, before what they asked for is submitted.
  func beforeSleep(_ body: @escaping () -> Void)
  /// Prepares for many writes from `memory`, until `unregister`; false where that is not to be had.
  func register(_ memory: UnsafeRawBufferPointer) -> Bool
  func unregister(_ memory: UnsafeRawBufferPointer)
}

extension LogLoop {
  package func register(_ memory: UnsafeRawBufferPointer) -> Bool { false }
  package func unregister(_ memory: UnsafeRawBufferPointer) {}
}

/// The bus inside the process: an append-only log on local files, made durable before anything is
/// acknowledged or can be read.
///
/// Lives on one loop. All appends of a turn of that loop, and all that arrive while a commit is
/// running, are joined into one commit group: one write and one fdatasync for all partitions they
/// touch. A group is on the log whole or not at all.
package final class EmbeddedBus: MessageBus {
  private let loop: any LogLoop
  private let logger: Logger
  private let lock: any StorageLock
  private let table: PartitionTable
  private let pipeline: CommitPipeline
  private let reader: LogReader
  private let batchReader: BatchReader
  private let batches: OutgoingPool
  private let directBytesMin: Int
  let groups: GroupRegistry
  package let metrics: LogMetrics

  /// Opens the log in a data directory, which is made when it is not there, and takes its lock.
  /// Blocks: to be called before the loop has other work. Every record that was ever acknowledged
  /// can be read afterwards.
  package static func open(_ options: EmbeddedBusOptions) throws(LogBrokerError) -> EmbeddedBus {
    let opening = LogOpening(
      storage: options.storage, dataDirectory: options.dataDirectory,
      partitions: options.partitions, partitionCounts: options.partitionCounts,
      topics: options.topics, durabilityFloor: options.durabilityFloor, key: options.key,
      limits: options.limits,
      metrics: options.metrics,
      logger: options.logger.named("log"))
    return EmbeddedBus(try opening.run(), options)
  }

  private init(_ opened: LogOpening.Opened, _ options: EmbeddedBusOptions) {
    loop = options.loop
    logger = options.logger.named("log")
    metrics = options.metrics
    lock = opened.lock
    batches = OutgoingPool(loop: options.loop)
    directBytesMin = options.limits.directBytesMin
    table = opened.table
    groups = GroupRegistry(
      table, firstGeneration: UInt64(clamping: options.loop.clock.wall().microseconds))
    let files = SegmentFiles(
      storage: options.storage, recycledMax: options.limits.recycledFilesMax)
    files.adoptRecycled(besides: opened.table.all.flatMap(\.segments))
    pipeline = CommitPipeline(opened, options, files: files)
    let pool = BufferPool(metrics: options.metrics)
    let onDamage = { [logger, metrics] (log: PartitionLog, reason: String) in
      guard log.damage == nil else { return }
      log.damage = reason
      metrics.reportDamage(log, reason, logger)
    }
    reader = LogReader(
      files: files, pool: pool, loop: options.loop, metrics: options.metrics, onDamage: onDamage)
    batchReader = BatchReader(
      files: files, pool: pool, loop: options.loop, metrics: options.metrics, onDamage: onDamage)
  }

  /// Commits what waits, writes a checkpoint so that the next start has nothing to replay, and lets
  /// go of the data directory. Later calls are refused. Called once.
  package func close(completion: @escaping () -> Void) {
    pipeline.close { [lock] in
      lock.release()
      completion()
    }
  }

  // MARK: State

  package var partitionCount: Int { table.partitionCount }

  package func partitionCount(of topic: Topic) -> Int { table.count(of: topic) }

  /// Whether appends are refused because the disk is full. Reads go on; it is tried again with
  /// every append, and once a second.
  package var isDiskFull: Bool { pipeline.isDiskFull }

  /// Why appends are refused for good, after a failed sync; nil while all is well. A restart
  /// recovers.
  package var fenceReason: String? { pipeline.fence }

  package func endOffset(of target: TopicPartition) -> UInt64 {
    table.existing(target)?.endOffset ?? 0
  }

  package func status() -> [TopicStatus] { table.status() }

  /// What an acknowledgement means on the topic: its creator's choice, or the operator's floor.
  package func durability(of topic: Topic) -> Durability { table.durability(of: topic) }

  // MARK: Writing

  package func append(
    _ batches: [PartitionBatch],
    completion: @escaping (Result<[UInt64], BusError>) -> Void
  ) {
    do throws(BusError) {
      let (bytes, durability) = try admit(batches)
      if bytes >= directBytesMin, batches.count == 1, durability == .persisted,
        table.log(batches[0].target).deduplication == nil
      {
        return pipeline.add(encoded(batches[0], bytes: bytes, completion: completion))
      }
      pipeline.add(
        .init(
          work: .append(batches), bytes: bytes, durability: durability, completion: completion))
    } catch {
      loop.enqueue { completion(.failure(error)) }
    }
  }

  /// A batch to fill and `publish`, with room for messages of `bytesMax` bytes in all: 48 each
  /// (`MessageHeader`), payload and headers. Its messages get the time of this call as origin.
  package func makeBatch(bytesMax: Int) -> OutgoingBatch {
    batches.make(bytesMax: bytesMax, now: UInt64(clamping: loop.clock.wall().microseconds))
  }

  /// Appends `batch`, which holds at least one message, to one partition; `completion` gets the
  /// offset of its first once it is durable. In order with `append`. The batch is the log's from
  /// here on. Topics with a deduplication window refuse it. What is large
  /// (`LogLimits.directBytesMin`) is written once, straight to its segment.
  package func publish(
    _ batch: OutgoingBatch, to target: TopicPartition,
    completion: @escaping (Result<UInt64, BusError>) -> Void
  ) {
    precondition(batch.count > 0 && !batch.isHandedIn, "a batch is handed in once, with messages")
    do throws(BusError) {
      if let refusal = pipeline.refusal { throw refusal }
      guard table.contains(target) else { throw .unknownPartition }
      let log = table.log(target)
      if let reason = log.damage { throw .damaged(reason) }
      if log.deduplication != nil {
        throw .unavailable("the topic has a deduplication window; use append")
      }
      let durability = table.durability(of: target.topic)
      let isDirect = batch.frameLength >= directBytesMin && durability == .persisted
      let bytes =
        batch.frameLength + (durability == .persisted ? 0 : GroupWriter.reservationLength)
      if bytes > pipeline.appendBytesMax {
        throw .recordTooLarge(limit: pipeline.appendBytesMax)
      }
      batch.isHandedIn = true
      pipeline.add(
        .init(
          work: .batch(batch, log), bytes: bytes, isDirect: isDirect, durability: durability,
          completion: { completion($0.map { $0[0] }) }))
    } catch {
      loop.enqueue { completion(.failure(error)) }
    }
  }

  /// A large append to one partition, encoded at once into the memory it is written from.
  private func encoded(
    _ batch: PartitionBatch, bytes: Int,
    completion: @escaping (Result<[UInt64], BusError>) -> Void
  ) -> PendingCommits.Entry {
    let outgoing = makeBatch(bytesMax: bytes)
    for record in batch.records { outgoing.add(record) }
    outgoing.isHandedIn = true
    return .init(
      work: .batch(outgoing, table.log(batch.target)), bytes: outgoing.frameLength,
      isDirect: true, completion: completion)
  }

  /// Checks an append; returns the bytes its frames take at most, and what it is acknowledged
  /// after.
  private func admit(_ batches: [PartitionBatch]) throws(BusError) -> (Int, Durability) {
    if let refusal = pipeline.refusal { throw refusal }
    var bytes = 0
    var durability = Durability.replicated
    for batch in batches where !batch.records.isEmpty {
      guard table.contains(batch.target) else { throw .unknownPartition }
      if let reason = table.existing(batch.target)?.damage { throw .damaged(reason) }
      for record in batch.records {
        precondition(!record.payload.isEmpty, "a record has a payload")
        precondition((1...255).contains(record.type.utf8.count), "a type has 1–255 bytes")
        if record.payload.count > LogLimits.recordBytesMax {
          throw .recordTooLarge(limit: LogLimits.recordBytesMax)
        }
      }
      bytes += GroupWriter.frameLength(of: batch)
      switch table.durability(of: batch.target.topic) {
      case .persisted: durability = .persisted
      case .replicated: bytes += GroupWriter.reservationLength
      }
    }
    if bytes > pipeline.appendBytesMax { throw .recordTooLarge(limit: pipeline.appendBytesMax) }
    return (bytes, bytes == 0 ? .persisted : durability)
  }

  /// Takes the records below `offset` away, durably: polls for them are answered `belowStart` from
  /// then on. One beyond the end means all there are. `completion` gets the first offset there is.
  /// Whole segment files go with the next checkpoint.
  package func deleteRecords(
    of target: TopicPartition, upTo offset: UInt64,
    completion: @escaping (Result<UInt64, BusError>) -> Void
  ) {
    if let refusal = pipeline.refusal ?? (table.contains(target) ? nil : .unknownPartition) {
      return loop.enqueue { completion(.failure(refusal)) }
    }
    let log = table.log(target)
    pipeline.cut(log, to: offset) { completion($0.map { log.firstOffset }) }
  }

  /// Looks now what retention takes away; it is also looked at regularly, and when a segment has
  /// been filled.
  package func applyRetention() { pipeline.retention?.run() }

  package func firstOffset(of target: TopicPartition) -> UInt64 {
    table.existing(target)?.firstOffset ?? 0
  }

  // MARK: Reading

  package func poll(
    _ request: PollRequest, completion: @escaping (Result<PollResult, BusError>) -> Void
  ) {
    guard table.contains(request.target) else {
      return loop.enqueue { completion(.failure(.unknownPartition)) }
    }
    guard !pipeline.isClosed else {
      return loop.enqueue { completion(.failure(.unavailable("the log is closed"))) }
    }
    reader.poll(request, table.log(request.target), completion: completion)
  }

  /// Whole batches from `offset` on, about `bytesMax` bytes of them, at least one where there is
  /// one. For `PartitionReader`, which bounds what is held.
  func pollBatches(
    _ target: TopicPartition, from offset: UInt64, bytesMax: Int,
    completion: @escaping (Result<PolledBatches, BusError>) -> Void
  ) {
    guard table.contains(target) else {
      return loop.enqueue { completion(.failure(.unknownPartition)) }
    }
    guard !pipeline.isClosed else {
      return loop.enqueue { completion(.failure(.unavailable("the log is closed"))) }
    }
    batchReader.poll(
      table.log(target), from: offset, bytesMax: bytesMax, completion: completion)
  }

  /// A reader of one partition whose hold on memory is bounded by itself.
  package func makeReader(of target: TopicPartition) -> PartitionReader {
    PartitionReader(self, target, clock: loop.clock, metrics: metrics)
  }

  package func watch(_ target: TopicPartition, _ body: @escaping () -> Void) -> any Cancellable {
    precondition(table.contains(target), "a watch on a partition that does not exist")
    return table.log(target).watch(body)
  }

  // MARK: Consumer groups

  package func storeOffset(
    _ offset: UInt64, group: String, of target: TopicPartition,
    completion: @escaping (Result<Void, BusError>) -> Void
  ) { store(GroupOffset(offset: offset, group: group), of: target, completion: completion) }

  /// Sets a group's offset also where that takes it back: somebody wants to read again. Durable
  /// when it completes; what was stored before it never comes back.
  package func rewindOffset(
    to offset: UInt64, group: String, of target: TopicPartition,
    completion: @escaping (Result<Void, BusError>) -> Void
  ) {
    store(
      GroupOffset(offset: offset, group: group, isRewind: true), of: target,
      completion: completion)
  }

  private func store(
    _ stored: GroupOffset, of target: TopicPartition,
    completion: @escaping (Result<Void, BusError>) -> Void
  ) {
    precondition(
      (1...GroupOffset.nameBytesMax).contains(stored.group.utf8.count),
      "a group's name has 1–255 bytes")
    if let refusal = pipeline.refusal ?? (table.contains(target) ? nil : .unknownPartition) {
      return loop.enqueue { completion(.failure(refusal)) }
    }
    pipeline.add(
      .init(
        work: .offset(stored, table.log(target)), bytes: GroupWriter.frameLength(of: stored),
        completion: { completion($0.map { _ in }) }))
  }

  package func storedOffset(group: String, of target: TopicPartition) -> UInt64? {
    guard table.contains(target) else { return nil }
    return pipeline.offsets[table.log(target).offsetKey(group: group)]
  }
}
