import Base
import Events
import Iggy

/// Turns what was appended into durable, readable records: gathers commit groups, hands them to
/// the journal one at a time, moves them to segments, and decides what a failure means.
final class CommitPipeline {
  private let loop: any LogLoop
  private let logger: Logger
  private let limits: LogLimits
  private let metrics: LogMetrics
  private let table: PartitionTable
  private let journal: Journal
  private let files: SegmentFiles
  private let flusher: SegmentFlusher
  private let checkpointer: Checkpointer
  private let directs: DirectCommits
  private(set) var retention: RetentionTask?
  private let packing: PackingTask
  private var isRetentionDue = false
  /// Files wait for a checkpoint that no longer names them.
  private var isDeletionDue = false
  /// A group waits until the journal file whose turn it is has been made larger.
  private var isSwitchWaiting = false

  private(set) var offsets: GroupOffsets
  private var pending = PendingCommits()
  private let buffer = AlignedBuffer(capacity: bufferKept)
  /// Room for most groups; a buffer that had to grow goes back to it after the next small one.
  private static let bufferKept = 256 << 10
  private var isCommitting = false
  /// Of the machine now.
  private let boot: UInt128
  private var syncTimer: (any Cancellable)?
  /// What is unsynced has been so for long enough.
  private var isSyncDue = false
  /// Why nothing is written any more: set once, by a failed sync.
  private(set) var fence: String?
  private var stall: Stall?
  private var onClosed: (() -> Void)?
  private(set) var isClosed = false

  /// A failure that passes: what has to succeed before appends are taken again.
  private struct Stall {
    var failure: StorageFailure
    var isRetrying = false
    /// Appends are refused, and it was said why.
    var isReported = false
    var needsCheckpoint = false
    var logs: [PartitionLog] = []
    var timer: (any Cancellable)?

    var busError: BusError {
      failure.kind == .diskFull ? .diskFull : .unavailable(failure.description)
    }
  }

  init(
    _ opened: LogOpening.Opened, _ options: EmbeddedBusOptions, files: SegmentFiles
  ) {
    loop = options.loop
    logger = options.logger.named("log")
    limits = options.limits
    metrics = options.metrics
    table = opened.table
    boot = options.storage.bootID
    offsets = opened.offsets
    journal = opened.journal
    self.files = files
    flusher = SegmentFlusher(
      storage: options.storage, files: files, limits: limits, metrics: metrics)
    checkpointer = Checkpointer(
      storage: options.storage, files: files, flusher: flusher, table: table, metrics: metrics)
    directs = DirectCommits(
      files: files, flusher: flusher, limits: limits, metrics: metrics,
      lastID: table.all.reduce(0) { $1.segments.reduce($0) { max($0, $1.id) } })
    packing = PackingTask(options, table: table, files: files)
    connectDirects()
    connectPacking()
    flusher.onRoll = { [weak self] in self?.isRetentionDue = true }
    retention = RetentionTask(options, table: table, clock: ClockGuard(opened.clock)) {
      [weak self] offset, log in
      self?.cut(log, to: offset) {
        // It is asked for again, then.
        if case .failure = $0 { log.askedCut = 0 }
      }
    }
    flusher.stamp = { [weak self] in self?.retention?.stamp ?? 0 }
    loop.beforeSleep { [weak self] in self?.commitPending() }
    loop.enqueue { [weak self] in
      self?.flushRecovered()
      self?.retention?.start()
      self?.packing.run()
    }
  }

  /// Bytes that the frames of one append may take: it is one group, in one journal file.
  var appendBytesMax: Int { journal.groupBytesMax }

  var isDiskFull: Bool { stall?.failure.kind == .diskFull }

  /// Why nothing is taken now; nil while all is well, and while a retry may help.
  var refusal: BusError? {
    if let fence { return .unavailable(fence) }
    if onClosed != nil || isClosed { return .unavailable("the log is closing") }
    if pending.bytes > LogLimits.pendingBytesMax {
      return .unavailable("\(pending.bytes) bytes wait for the disk already")
    }
    return nil
  }

  /// Records of `log` below `offset` go; nothing happens when the log takes nothing any more.
  func cut(
    _ log: PartitionLog, to offset: UInt64,
    completion: @escaping (Result<Void, BusError>) -> Void
  ) {
    add(
      .init(
        work: .cut(min(offset, log.endOffset), log), bytes: GroupWriter.cutLength,
        completion: { completion($0.map { _ in }) }))
  }

  /// Takes an entry that may be committed; it goes with the next group.
  func add(_ entry: PendingCommits.Entry) { pending.add(entry) }
}

// MARK: - Commit groups

extension CommitPipeline {
  private struct Group {
    let entries: [PendingCommits.Entry]
    /// The first offset of each batch of each entry.
    let firsts: [[UInt64]]
    let writer: GroupWriter
    let reservations: [(PartitionLog, OffsetReservation)]
    /// Whether it is durable once it is acknowledged.
    let isSynced: Bool
  }

  /// Starts the next commits if there is something to commit and nothing in its way. Called at the
  /// end of every turn of the loop: what failed to start is looked at again after any event.
  private func commitPending() {
    syncIfDue()
    tidyIfDue()
    guard !pending.isEmpty, fence == nil else { return }
    if stall != nil { return isCommitting ? () : retryStalled() }
    var most = Int.max
    if pending.directs > 0 || directs.underWay > 0 { most = beginDirects() }
    guard !isCommitting, most > 0, !pending.isEmpty, stall == nil, fence == nil else { return }
    let entries = pending.peekGroup(bytesMax: limits.groupBytesMax, countMax: most)
    let length = GroupWriter.roundedToBlock(entries.reduce(0) { $0 + $1.bytes })
    guard length > 0 else {
      pending.remove(entries.count)
      for entry in entries { entry.completion(.success(entry.firstOffsets(table))) }
      return
    }
    guard let place = journal.place(for: length) else { return startCheckpoint() }
    let isTooMuch = journal.unsyncedBytes + length > LogLimits.unsyncedBytesMax
    if journal.unsyncedBytes > 0, place.isFirst || isTooMuch { return syncJournal() }
    if place.isFirst, journal.isGrowing { return isSwitchWaiting = true }
    pending.remove(entries.count)
    isCommitting = true
    buffer.reserve(length + LogLimits.blockBytes)
    let group = encode(entries, at: place)
    guard !group.writer.isEmpty else {
      // Nothing but duplicates.
      isCommitting = false
      for (entry, firsts) in zip(entries, group.firsts) { entry.completion(.success(firsts)) }
      loop.enqueue { [weak self] in self?.commitPending() }
      return
    }
    write(group, at: place)
  }

  private func write(_ group: Group, at place: Journal.Place) {
    let now = loop.clock.monotonic()
    if !group.isSynced, journal.store(group.writer, at: place, now: now) {
      metrics.storedCommits.add()
      committed(group, isFirst: false, .success(()))
      // One group a turn; and without another turn what the completions appended would wait.
      if !pending.isEmpty { loop.enqueue {} }
      return
    }
    journal.commit(group.writer, at: place, isSynced: group.isSynced, now: now) {
      [weak self] result in
      self?.committed(group, isFirst: place.isFirst, result)
    }
  }

  private func encode(_ entries: [PendingCommits.Entry], at place: Journal.Place) -> Group {
    var writer = GroupWriter(
      buffer: buffer, generation: place.generation, group: journal.state.nextGroup,
      previous: journal.state.previous, followsUnsynced: journal.unsyncedBytes > 0,
      cipher: table.cipher)
    let reservations = reserve(for: entries)
    for (log, reservation) in reservations { writer.add(reservation, of: log) }
    let now = UInt64(clamping: loop.clock.wall().microseconds)
    let firsts = entries.map { entry -> [UInt64] in
      switch entry.work {
      case .append(let batches):
        return batches.map { add($0, to: &writer, now: now) }
      case .batch(let batch, let log):
        return [writer.add(batch, to: log, now: now)]
      case .offset(let offset, let log):
        writer.add(offset, of: log)
        return []
      case .segment(let segment, let log):
        writer.add(segment, of: log)
        return []
      case .cut(let offset, let log):
        writer.add(cut: offset, of: log)
        return []
      }
    }
    if !writer.isEmpty { writer.finish() }
    return Group(
      entries: entries, firsts: firsts, writer: writer, reservations: reservations,
      isSynced: entries[0].durability == .persisted || !reservations.isEmpty)
  }

  /// Adds what of the batch is new; returns where its first record is, or will be.
  private func add(
    _ batch: PartitionBatch, to writer: inout GroupWriter, now: UInt64
  ) -> UInt64 {
    let log = table.log(batch.target)
    guard !batch.records.isEmpty else { return log.mintedOffset }
    guard log.deduplication != nil else { return writer.add(batch, to: log, now: now) }
    log.deduplication!.forget(now: max(now, log.lastTime))
    let (fresh, first) = log.deduplication!.stage(batch.records, base: log.mintedOffset)
    metrics.duplicates.add(batch.records.count - fresh.count)
    if !fresh.isEmpty {
      _ = writer.add(PartitionBatch(batch.target, fresh), to: log, now: now)
    }
    return first
  }

  /// What has to be durable before records of these entries may be acknowledged without a sync.
  private func reserve(
    for entries: [PendingCommits.Entry]
  ) -> [(PartitionLog, OffsetReservation)] {
    var ends: [(log: PartitionLog, end: UInt64)] = []
    func count(_ records: Int, of log: PartitionLog) {
      guard records > 0, log.settings.durability == .replicated else { return }
      let index = ends.firstIndex { $0.log === log } ?? ends.count
      if index == ends.count { ends.append((log, log.mintedOffset)) }
      ends[index].end += UInt64(records)
    }
    for entry in entries {
      switch entry.work {
      case .append(let batches):
        for batch in batches { count(batch.records.count, of: table.log(batch.target)) }
      case .batch(let batch, let log): count(Int(batch.count), of: log)
      case .offset, .segment, .cut: break
      }
    }
    return ends.compactMap { log, end in
      if let held = log.reservation, held.boot == boot, held.end >= end { return nil }
      return (
        log,
        OffsetReservation(
          boot: boot, start: log.mintedOffset, end: end + OffsetReservation.step)
      )
    }
  }

  private func committed(_ group: Group, isFirst: Bool, _ result: Result<Void, CommitFailure>) {
    isCommitting = false
    switch result {
    case .success:
      apply(group)
      noteUnsynced()
      growJournal()
      for (entry, firsts) in zip(group.entries, group.firsts) {
        entry.completion(.success(firsts))
      }
      notify(group.writer.frames)
      if group.writer.end <= Self.bufferKept { buffer.shrink(to: Self.bufferKept) }
      if isFirst, journal.awaitsCheckpoint { startCheckpoint() }
    case .failure(let failure):
      for frame in group.writer.frames {
        frame.log.rollBack()
        frame.log.deduplication?.discard()
      }
      handle(failure, log: nil, ofCheckpoint: false)
      fail(group.entries, outcomeOfFailed)
    }
    closeIfDone()
  }

  /// Makes a durable group readable.
  private func apply(_ group: Group) {
    let bytes = UnsafeRawBufferPointer(group.writer.buffer.bytes)
    for frame in group.writer.frames {
      frame.log.append(
        bytes.slice(frame.range), base: frame.base, count: frame.count, time: frame.time)
      frame.log.deduplication?.commit(time: frame.time)
      metrics.records.add(Int(frame.count))
    }
    for case .offset(let offset, let log) in group.entries.lazy.map(\.work) {
      offsets.apply(offset, log.offsetKey(group: offset.group))
    }
    for (log, reservation) in group.reservations { log.reservation = reservation }
    for case .cut(let offset, let log) in group.entries.lazy.map(\.work) {
      let before = log.recordCount
      log.cut(to: offset)
      metrics.deletedRecords.add(before - log.recordCount)
      isDeletionDue = isDeletionDue || !log.cutSegments.isEmpty
    }
    metrics.commits.add()
    metrics.journalBytes.add(group.writer.end - LogLimits.blockBytes)
  }

  /// Wakes readers, once per partition, and sends what has gathered to the segments.
  private func notify(_ frames: [GroupWriter.Frame]) {
    for frame in frames where frame.base + UInt64(frame.count) == frame.log.endOffset {
      frame.log.notify()
      if frame.log.unflushedBytes >= limits.flushBytes, !frame.log.isFlushing, stall == nil {
        flush(frame.log)
      }
    }
  }

  private var refusalOfFailed: BusError {
    fence.map { BusError.unavailable($0) } ?? stall?.busError ?? .diskFull
  }

  /// What was on its way to a disk that failed may be found by the next start: nobody knows.
  private var outcomeOfFailed: BusError {
    fence.map { BusError.unconfirmed($0) } ?? refusalOfFailed
  }

  private func fail(_ entries: [PendingCommits.Entry], _ error: BusError) {
    if error == .diskFull { metrics.diskFullRefusals.add(entries.count) }
    for entry in entries { entry.completion(.failure(error)) }
  }
}

// MARK: - Direct writes

extension CommitPipeline {
  private func connectDirects() {
    directs.record = { [unowned self] segment, log in
      pending.add(
        .init(work: .segment(segment, log), bytes: GroupWriter.segmentRecordLength) {
          [unowned self] result in
          if case .failure = result { return directs.giveUp(log) }
          segment.isRecorded = true
          directs.settle(log)
        })
    }
    directs.failed = { [unowned self] in handle($0, log: nil, ofCheckpoint: false) }
    directs.refusal = { [unowned self] in outcomeOfFailed }
    directs.applied = { [unowned self] log in
      log.notify()
      if directs.uncheckpointedBytes >= limits.directCheckpointBytes { startCheckpoint() }
      if onClosed != nil { loop.enqueue { [self] in closeIfDone() } }
    }
  }

  /// Begins the direct writes that nothing is in the way of. Returns how many of the entries that
  /// are left, from the first on, may join a group now.
  private func beginDirects() -> Int {
    var order = CommitOrder()
    var unflushed: [PartitionLog] = []
    var more = 0
    let (begun, joining) = pending.sift { entry in
      guard entry.isDirect, case .batch(let batch, let log) = entry.work else {
        return order.mayJoin(entry.work.logs(table)) ? .join : .wait
      }
      let length = GroupWriter.roundedToBlock(batch.frameLength)
      let hasRoom = directs.hasRoom(for: length, besides: more)
      if log.unflushedBytes > 0 { unflushed.append(log) }
      guard order.mayBegin(log, hasRoom: hasRoom) else { return .wait }
      more += length
      return .begin
    }
    order.end()
    for log in unflushed where !log.isFlushing && !log.isOnJournal { flush(log) }
    begin(begun)
    return joining
  }

  private func begin(_ entries: [PendingCommits.Entry]) {
    let now = UInt64(clamping: loop.clock.wall().microseconds)
    for entry in entries {
      guard case .batch(let batch, let log) = entry.work else { continue }
      guard fence == nil, stall == nil else {
        entry.completion(.failure(refusalOfFailed))
        continue
      }
      directs.begin(batch, to: log, now: now, completion: entry.completion)
    }
  }
}

// MARK: - What is not synced yet

extension CommitPipeline {
  /// Sees to it that nothing stays unsynced for long.
  private func noteUnsynced() {
    metrics.unsyncedBytes.set(journal.unsyncedBytes)
    guard journal.unsyncedBytes > 0 else {
      syncTimer?.cancel()
      syncTimer = nil
      return
    }
    guard syncTimer == nil else { return }
    syncTimer = loop.schedule(after: LogLimits.unsyncedTimeMax) { [weak self] in
      guard let self else { return }
      syncTimer = nil
      // A commit that is running may sync it all; after it the loop has a turn.
      isSyncDue = true
      syncIfDue()
    }
  }

  private func syncIfDue() {
    guard isSyncDue, !isCommitting, !isClosed else { return }
    isSyncDue = false
    if journal.unsyncedBytes > 0, fence == nil { syncJournal() }
  }

  /// Commits wait for it.
  private func syncJournal() {
    isCommitting = true
    journal.sync(now: loop.clock.monotonic) { [weak self] result in
      guard let self else { return }
      isCommitting = false
      if case .failure(let failure) = result { handle(failure, log: nil, ofCheckpoint: false) }
      noteUnsynced()
      closeIfDone()
    }
  }
}

// MARK: - Segments and checkpoints

extension CommitPipeline {
  /// With many partitions checkpoints should come seldom.
  private func growJournal() {
    guard table.existingCount > limits.manyPartitions, onClosed == nil, fence == nil else { return }
    journal.grow(to: limits.journalBytesOfMany) { [weak self] result in
      guard let self else { return }
      if case .failure(let failure) = result { handle(failure, log: nil, ofCheckpoint: false) }
      // What waits goes at the end of this turn.
      if isSwitchWaiting { isSwitchWaiting = false } else { growJournal() }
      closeIfDone()
    }
  }

  /// Recovered records wait in memory; large tails go to their segments first thing.
  private func flushRecovered() {
    for log in table.all where log.unflushedBytes >= limits.flushBytes { flush(log) }
  }

  private func tidyIfDue() {
    if isRetentionDue, onClosed == nil, !isClosed, fence == nil {
      isRetentionDue = false
      retention?.run()
    }
    if isDeletionDue, !checkpointer.isRunning, stall == nil {
      isDeletionDue = false
      startCheckpoint()
    }
  }

  private func flush(_ log: PartitionLog) {
    flusher.flush(log) { [weak self] result in
      guard let self else { return }
      if case .failure(let failure) = result {
        handle(failure, log: log, ofCheckpoint: false)
      } else if files.isCrowded {
        startCheckpoint()
      }
    }
  }

  /// Makes the segments durable, so that the journal file before the current one is free again.
  private func startCheckpoint() {
    guard !checkpointer.isRunning, !isClosed, fence == nil else { return }
    // When nothing more will be written, the current one too; a direct write under way may have the
    // beginning of its segment still to put there.
    let isQuiet =
      onClosed != nil && pending.isEmpty && !isCommitting && directs.underWay == 0
    let generation = max(
      journal.released, isQuiet ? journal.state.generation : journal.state.otherGeneration)
    let written = directs.uncheckpointedBytes
    directs.uncheckpointedBytes = 0
    checkpointer.run(
      releasing: generation, isFinal: isQuiet, offsets: { [self] in offsets },
      clock: { [self] in retention?.clock.anchor },
      completion: { [weak self] result in
        if case .failure = result { self?.directs.uncheckpointedBytes += written }
        self?.checkpointed(generation, result)
      })
  }

  private func connectPacking() {
    packing.onPacked = { [unowned self] in isDeletionDue = true }
    packing.onFailedSync = { [unowned self] in
      handle(.sync($0), log: nil, ofCheckpoint: false)
    }
    packing.onIdle = { [unowned self] in
      if onClosed != nil { loop.enqueue { [self] in closeIfDone() } }
    }
  }

  private func checkpointed(_ generation: UInt64, _ result: Result<Void, CommitFailure>) {
    switch result {
    case .success:
      journal.released = generation
      if stall?.needsCheckpoint == true { resume() }
      packing.run()
    case .failure(let failure):
      handle(failure, log: nil, ofCheckpoint: true)
    }
    closeIfDone()
  }
}

// MARK: - Failures

extension CommitPipeline {
  /// How often it is looked whether there is room again, when nobody asks.
  private static let retryInterval = Nanoseconds.seconds(1)

  private func handle(_ failure: CommitFailure, log: PartitionLog?, ofCheckpoint: Bool) {
    switch failure {
    case .write(let failure) where failure.kind == .diskFull || failure.kind == .descriptors:
      stall(failure, log: log, ofCheckpoint: ofCheckpoint)
    case .write(let failure), .sync(let failure):
      guard fence == nil else { return }
      fence = "the log was fenced after a failed write; restart to recover (\(failure))"
      logger.error("log fenced", ["reason": .string(failure.description)])
      failPending()
      for log in table.all { directs.giveUp(log) }
    }
  }

  private func stall(_ failure: StorageFailure, log: PartitionLog?, ofCheckpoint: Bool) {
    var stall = stall ?? Stall(failure: failure)
    stall.failure = failure
    stall.isRetrying = false
    stall.needsCheckpoint = stall.needsCheckpoint || ofCheckpoint
    if let log, !stall.logs.contains(where: { $0 === log }) { stall.logs.append(log) }
    stall.timer?.cancel()
    self.stall = stall
    if failure.kind == .diskFull, files.hasRecycled { return makeRoom() }
    self.stall!.timer = loop.schedule(after: Self.retryInterval) { [weak self] in
      self?.retryStalled()
    }
    report(failure)
    failPending()
  }

  private func report(_ failure: StorageFailure) {
    guard stall?.isReported == false else { return }
    stall?.isReported = true
    logger.error(
      failure.kind == .diskFull
        ? "disk full: no records are taken until there is room"
        : "no descriptor left: no records are taken until there is one",
      ["reason": .string(failure.description)])
  }

  /// Gives up the files that are only kept for new segments. What waits goes on, or is refused when
  /// that was not enough.
  private func makeRoom() {
    logger.warning("the disk is full: files that were kept for new segments are deleted")
    stall?.isRetrying = true
    files.dropRecycled { [weak self] in
      self?.stall?.isRetrying = false
      self?.retryStalled()
    }
  }

  private func failPending() {
    let entries = pending.takeAll()
    loop.enqueue { [self] in fail(entries, refusalOfFailed) }
  }

  /// Tries again what failed; appends that wait go on when it succeeds, and are refused when not.
  private func retryStalled() {
    guard let stall, !stall.isRetrying, fence == nil, !isClosed else { return }
    self.stall?.isRetrying = true
    // One that is running already will do.
    if stall.needsCheckpoint { return startCheckpoint() }
    guard let log = stall.logs.last else { return resume() }
    flusher.flush(log) { [weak self] result in
      guard let self else { return }
      if case .failure(let failure) = result {
        return handle(failure, log: log, ofCheckpoint: false)
      }
      self.stall?.logs.removeAll { $0 === log }
      self.stall?.isRetrying = false
      retryStalled()
    }
  }

  private func resume() {
    stall?.timer?.cancel()
    if stall?.isReported == true { logger.info("records are taken again") }
    stall = nil
    // This may be the end of the loop's turn: without another one appends would wait for an event.
    loop.enqueue { [weak self] in self?.commitPending() }
  }
}

// MARK: - Closing

extension CommitPipeline {
  /// Commits what waits and writes a checkpoint, so that the next start has nothing to replay.
  /// What is added from now on is refused.
  func close(completion: @escaping () -> Void) {
    precondition(onClosed == nil && !isClosed, "the log is closed once")
    onClosed = completion
    packing.isStopped = true
    journal.endGrowth()
    loop.enqueue { [self] in closeIfDone() }
  }

  private func closeIfDone() {
    guard let completion = onClosed, !isClosed, !isCommitting, !checkpointer.isRunning,
      directs.underWay == 0, !packing.isRunning, !journal.isGrowing
    else { return }
    if fence == nil, stall == nil {
      guard pending.isEmpty else { return }
      if journal.released < journal.state.generation { return startCheckpoint() }
    }
    isClosed = true
    onClosed = nil
    stall?.timer?.cancel()
    syncTimer?.cancel()
    retention?.stop()
    failPending()
    journal.close()
    files.closeAll()
    completion()
  }
}
