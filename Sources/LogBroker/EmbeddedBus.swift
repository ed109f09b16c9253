package import Base
package import Events
import Iggy

/// What the bus needs of its event loop.
package protocol LogLoop: TimerService {
  /// Runs `body` in this turn or the next, never inside the call.
  func enqueue(_ body: @escaping () -> Void)
  /// Calls `body` in every turn, after all callbacks, before what they asked for is submitted.
  func beforeSleep(_ body: @escaping () -> Void)
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
  private let limits: LogLimits
  package let metrics: LogMetrics

  private let lock: any StorageLock
  private let table: PartitionTable
  private var offsets: GroupOffsets
  private let journal: Journal
  private let files: SegmentFiles
  private let flusher: SegmentFlusher
  private let checkpointer: Checkpointer
  private var reader: LogReader!

  private var pending = PendingCommits()
  private let buffer = AlignedBuffer(capacity: 256 << 10)
  private var isCommitting = false
  /// Set once, by a failed sync: nothing is written any more.
  private var fence: String?
  private var stall: Stall?
  private var closing: (() -> Void)?
  private var isClosed = false

  /// What has to succeed before appends are taken again.
  private struct Stall {
    var failure: StorageFailure
    var isRetrying = false
    var needsCheckpoint = false
    var logs: [PartitionLog] = []
    var timer: (any Cancellable)?

    var busError: BusError {
      failure.kind == .diskFull ? .diskFull : .unavailable(failure.description)
    }
  }

  init(_ opened: LogOpening.Opened, _ options: EmbeddedBusOptions) {
    loop = options.loop
    logger = options.logger.named("log")
    limits = options.limits
    metrics = options.metrics
    lock = opened.lock
    table = opened.table
    offsets = opened.offsets
    journal = opened.journal
    files = SegmentFiles(storage: options.storage)
    flusher = SegmentFlusher(
      storage: options.storage, files: files, limits: limits, metrics: metrics)
    checkpointer = Checkpointer(
      storage: options.storage, files: files, flusher: flusher, table: table, metrics: metrics)
    reader = LogReader(
      files: files, enqueue: { [loop] in loop.enqueue($0) },
      onDamage: { [weak self] in self?.markDamaged($0, $1) })
    loop.beforeSleep { [weak self] in self?.commitPending() }
    loop.enqueue { [weak self] in self?.flushRecovered() }
  }

  // MARK: State

  package var partitionCount: Int { table.partitionCount }

  package func partitionCount(of topic: Topic) -> Int { table.count(of: topic) }

  /// Whether appends are refused because the disk is full. Reads go on; it is tried again with
  /// every append, and once a second.
  package var isDiskFull: Bool { stall?.failure.kind == .diskFull }

  /// Why appends are refused for good; nil while all is well. A restart recovers.
  package var fenceReason: String? { fence }

  package func endOffset(of target: TopicPartition) -> UInt64 {
    table.existing(target)?.endOffset ?? 0
  }

  package func status() -> [TopicStatus] {
    Topic.allCases.map { topic in
      let logs = table.all(of: topic)
      return TopicStatus(
        topic: topic, partitions: table.count(of: topic),
        messages: logs.reduce(0) { $0 + Int($1.endOffset - $1.firstOffset) },
        bytes: logs.reduce(0) { $0 + $1.bytes })
    }
  }

  // MARK: Reading

  package func poll(
    _ request: PollRequest, completion: @escaping (Result<PollResult, BusError>) -> Void
  ) {
    guard table.contains(request.target) else {
      return loop.enqueue { completion(.failure(.unknownPartition)) }
    }
    guard !isClosed else {
      return loop.enqueue { completion(.failure(.unavailable("the log is closed"))) }
    }
    reader.poll(request, table.log(request.target), completion: completion)
  }

  package func watch(_ target: TopicPartition, _ body: @escaping () -> Void) -> any Cancellable {
    precondition(table.contains(target), "a watch on a partition that does not exist")
    return table.log(target).watch(body)
  }

  package func storedOffset(group: String, of target: TopicPartition) -> UInt64? {
    guard table.contains(target) else { return nil }
    return offsets[key(group, table.log(target))]
  }

  private func key(_ group: String, _ log: PartitionLog) -> GroupOffsets.Key {
    .init(topic: log.topicNumber, partition: UInt32(log.target.partition), group: group)
  }

  // MARK: Writing

  package func append(
    _ batches: [PartitionBatch],
    completion: @escaping (Result<[UInt64], BusError>) -> Void
  ) {
    let entry: PendingCommits.Entry
    do throws(BusError) {
      entry = PendingCommits.Entry(
        work: .append(batches), bytes: try admit(batches), completion: completion)
    } catch {
      return loop.enqueue { completion(.failure(error)) }
    }
    pending.add(entry)
  }

  package func storeOffset(
    _ offset: UInt64, group: String, of target: TopicPartition,
    completion: @escaping (Result<Void, BusError>) -> Void
  ) {
    precondition(
      (1...GroupOffset.nameBytesMax).contains(group.utf8.count), "a group's name has 1–255 bytes")
    if let refusal = refusal ?? (table.contains(target) ? nil : .unknownPartition) {
      return loop.enqueue { completion(.failure(refusal)) }
    }
    let stored = GroupOffset(offset: offset, group: group)
    pending.add(
      PendingCommits.Entry(
        work: .offset(stored, table.log(target)), bytes: GroupWriter.frameLength(of: stored),
        completion: { completion($0.map { _ in }) }))
  }

  /// Why nothing is taken at all.
  private var refusal: BusError? {
    if let fence { return .unavailable(fence) }
    if closing != nil || isClosed { return .unavailable("the log is closing") }
    if pending.bytes > LogLimits.pendingBytesMax {
      return .unavailable("\(pending.bytes) bytes wait for the disk already")
    }
    return nil
  }

  /// Checks an append; returns the bytes its frames take.
  private func admit(_ batches: [PartitionBatch]) throws(BusError) -> Int {
    if let refusal { throw refusal }
    var bytes = 0
    for batch in batches {
      guard table.contains(batch.target) else { throw .unknownPartition }
      if let reason = table.existing(batch.target)?.damage { throw .damaged(reason) }
      for record in batch.records {
        precondition(!record.payload.isEmpty, "a record has a payload")
        precondition((1...255).contains(record.type.utf8.count), "a type has 1–255 bytes")
        if record.payload.count > LogLimits.recordBytesMax {
          throw .recordTooLarge(limit: LogLimits.recordBytesMax)
        }
      }
      if !batch.records.isEmpty { bytes += GroupWriter.frameLength(of: batch) }
    }
    // One append is one group, and a group is in one journal file.
    if bytes > journal.groupBytesMax { throw .recordTooLarge(limit: journal.groupBytesMax) }
    return bytes
  }
}

// MARK: - Committing

extension EmbeddedBus {
  /// Starts the next commit if there is something to commit and nothing in its way.
  private func commitPending() {
    guard !isCommitting, !pending.isEmpty, fence == nil else { return }
    if stall != nil { return retryStalled() }
    let entries = pending.peekGroup(bytesMax: limits.groupBytesMax)
    let bytes = entries.reduce(0) { $0 + $1.bytes }
    if bytes == 0 {
      pending.remove(entries.count)
      return finish(entries, entries.map { $0.firstOffsets(table) })
    }
    guard let place = journal.place(for: GroupWriter.roundedToBlock(bytes)) else {
      return startCheckpoint()
    }
    pending.remove(entries.count)
    isCommitting = true
    buffer.reserve(GroupWriter.roundedToBlock(bytes) + LogLimits.blockBytes)
    var writer = GroupWriter(
      buffer: buffer, generation: place.generation, group: journal.state.nextGroup,
      previous: journal.state.previous)
    let firsts = entries.map { encode($0, into: &writer) }
    writer.finish()
    let group = Group(entries: entries, firsts: firsts, writer: writer)
    journal.commit(writer, at: place) { [weak self] result in
      self?.committed(group, isFirst: place.isFirst, result)
    }
  }

  private struct Group {
    let entries: [PendingCommits.Entry]
    let firsts: [[UInt64]]
    let writer: GroupWriter
  }

  /// Encodes what an entry asks for; returns the first offset of each of its batches.
  private func encode(_ entry: PendingCommits.Entry, into writer: inout GroupWriter) -> [UInt64] {
    switch entry.work {
    case .append(let batches):
      let now = UInt64(clamping: loop.clock.wall().microseconds)
      return batches.map { batch in
        let log = table.log(batch.target)
        return batch.records.isEmpty ? log.mintedOffset : writer.add(batch, to: log, now: now)
      }
    case .offset(let offset, let log):
      writer.add(offset, of: log)
      return []
    }
  }

  private func committed(_ group: Group, isFirst: Bool, _ result: Result<Void, CommitFailure>) {
    isCommitting = false
    switch result {
    case .success:
      apply(group)
      finish(group.entries, group.firsts)
      notify(group.writer.frames)
      buffer.shrink(to: limits.groupBytesMax + LogLimits.blockBytes)
      if isFirst, journal.state.generation - 1 > journal.released { startCheckpoint() }
    case .failure(let failure):
      for frame in group.writer.frames { frame.log.mintedOffset = frame.log.endOffset }
      fail(group.entries, failure)
    }
    // What was added meanwhile goes next, at the end of this turn.
    closeIfDone()
  }

  /// Makes a durable group readable.
  private func apply(_ group: Group) {
    let bytes = UnsafeRawBufferPointer(group.writer.buffer.bytes)
    for frame in group.writer.frames {
      frame.log.append(
        bytes.slice(frame.range), base: frame.base, count: frame.count, time: frame.time)
      metrics.records.add(Int(frame.count))
    }
    for case .offset(let offset, let log) in group.entries.lazy.map(\.work) {
      offsets.raise(key(offset.group, log), to: offset.offset)
    }
    metrics.commits.add()
    metrics.journalBytes.add(group.writer.end - LogLimits.blockBytes)
  }

  private func finish(_ entries: [PendingCommits.Entry], _ firsts: [[UInt64]]) {
    for (entry, first) in zip(entries, firsts) {
      // Nothing was encoded for an entry without bytes; its completion must not run in its call.
      entry.completion(.success(first))
    }
  }

  private func notify(_ frames: [GroupWriter.Frame]) {
    for frame in frames where frame.base + UInt64(frame.count) == frame.log.endOffset {
      frame.log.notify()
      if frame.log.unflushedBytes >= limits.flushBytes, !frame.log.isFlushing, stall == nil {
        flush(frame.log)
      }
    }
  }

  private func fail(_ entries: [PendingCommits.Entry], _ failure: CommitFailure) {
    handle(failure, log: nil, ofCheckpoint: false)
    let error = fence.map { BusError.unavailable($0) } ?? stall?.busError ?? .diskFull
    if error == .diskFull { metrics.diskFullRefusals.add(entries.count) }
    for entry in entries { entry.completion(.failure(error)) }
  }
}

// MARK: - Segments and checkpoints

extension EmbeddedBus {
  /// Recovered records wait in memory; large tails go to their segments first thing.
  private func flushRecovered() {
    for log in table.all where log.unflushedBytes >= limits.flushBytes { flush(log) }
  }

  private func flush(_ log: PartitionLog) {
    flusher.flush(log) { [weak self] result in
      guard let self else { return }
      if case .failure(let failure) = result {
        handle(.write(failure), log: log, ofCheckpoint: false)
      } else if files.isCrowded {
        startCheckpoint()
      }
    }
  }

  /// Makes the segments durable, so that the journal file before the current one is free again.
  private func startCheckpoint() {
    guard !checkpointer.isRunning, fence == nil else { return }
    let state = journal.state
    // Once nothing more is written, also the current one.
    let generation = isQuiet ? state.generation : max(journal.released, state.generation - 1)
    checkpointer.run(
      releasing: generation, offsets: { [self] in offsets },
      completion: { [weak self] result in self?.checkpointed(generation, result) })
  }

  private var isQuiet: Bool { closing != nil && pending.isEmpty && !isCommitting }

  private func checkpointed(_ generation: UInt64, _ result: Result<Void, CommitFailure>) {
    switch result {
    case .success:
      journal.released = generation
      if stall?.needsCheckpoint == true { resume() }
    case .failure(let failure):
      handle(failure, log: nil, ofCheckpoint: true)
    }
    closeIfDone(checkpointed: true)
    // What waited for the journal file goes at the end of this turn.
  }

  /// Decides what a failure means: a fence, or a stall that passes when there is room again.
  private func handle(_ failure: CommitFailure, log: PartitionLog?, ofCheckpoint: Bool) {
    switch failure {
    case .write(let failure) where failure.kind == .diskFull || failure.kind == .descriptors:
      if stall == nil {
        logger.error(
          failure.kind == .diskFull
            ? "disk full: no records are taken until there is room"
            : "no descriptor left: no records are taken until there is one",
          ["reason": .string(failure.description)])
      }
      var stall = stall ?? Stall(failure: failure)
      stall.failure = failure
      stall.isRetrying = false
      stall.needsCheckpoint = stall.needsCheckpoint || ofCheckpoint
      if let log, !stall.logs.contains(where: { $0 === log }) { stall.logs.append(log) }
      self.stall = stall
      failPending(stall.busError)
      scheduleRetry()
    case .write(let failure), .sync(let failure):
      guard fence == nil else { return }
      fence = "the log was fenced after a failed write; restart to recover: \(failure)"
      logger.error("log fenced", ["reason": .string(failure.description)])
      failPending(.unavailable(fence!))
    }
  }

  private func failPending(_ error: BusError) {
    let entries = pending.takeAll()
    if error == .diskFull { metrics.diskFullRefusals.add(entries.count) }
    for entry in entries { loop.enqueue { entry.completion(.failure(error)) } }
  }

  private static let retryInterval = Nanoseconds.seconds(1)

  private func scheduleRetry() {
    stall?.timer?.cancel()
    stall?.timer = loop.schedule(after: Self.retryInterval) { [weak self] in self?.retryStalled() }
  }

  /// Tries again what failed; appends that wait go on when it succeeds.
  private func retryStalled() {
    guard let stall, !stall.isRetrying, fence == nil else { return }
    self.stall?.isRetrying = true
    if stall.needsCheckpoint {
      guard !checkpointer.isRunning else { return }
      return startCheckpoint()
    }
    guard let log = stall.logs.last else { return resume() }
    flusher.flush(log) { [weak self] result in
      guard let self else { return }
      if case .failure(let failure) = result {
        return handle(.write(failure), log: log, ofCheckpoint: false)
      }
      self.stall?.logs.removeAll { $0 === log }
      self.stall?.isRetrying = false
      retryStalled()
    }
  }

  private func resume() {
    stall?.timer?.cancel()
    stall = nil
    logger.info("records are taken again")
  }

  private func markDamaged(_ log: PartitionLog, _ reason: String) {
    guard log.damage == nil else { return }
    log.damage = reason
    metrics.damages.add()
    logger.error(
      "partition damaged: it takes no records until it is repaired",
      [
        "topic": .string(log.target.topic.path), "partition": .int(Int64(log.target.partition)),
        "reason": .string(reason),
      ])
  }
}

// MARK: - Closing

extension EmbeddedBus {
  /// Commits what waits, writes a checkpoint so that the next start has nothing to replay, and lets
  /// go of the data directory. Later appends are refused.
  package func close(completion: @escaping () -> Void) {
    guard closing == nil, !isClosed else { return loop.enqueue(completion) }
    closing = completion
    loop.enqueue { [self] in closeIfDone() }
  }

  private func closeIfDone(checkpointed: Bool = false) {
    guard closing != nil, !isClosed, !isCommitting, !checkpointer.isRunning else { return }
    let isStuck = fence != nil || stall != nil
    guard pending.isEmpty || isStuck else { return }
    if !isStuck, journal.released < journal.state.generation { return startCheckpoint() }
    isClosed = true
    stall?.timer?.cancel()
    failPending(.unavailable("the log is closed"))
    journal.close()
    files.closeAll()
    lock.release()
    let completion = closing
    closing = nil
    completion?()
  }
}
