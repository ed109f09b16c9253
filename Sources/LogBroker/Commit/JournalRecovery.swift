import Iggy

/// Finds, in the two journal files, the groups that are to be replayed, in their order. Sans I/O.
///
/// A group counts whole or not at all. What a crash can leave behind, the last group torn, is cut
/// off; damage before that is reported, per partition where its frames still say which.
struct JournalRecovery {
  /// What became of the journals, and where to go on.
  struct Outcome {
    var state = Journal.State()
    /// The groups from the last one on that was written when all before it were durable. A crash
    /// may have come before their sync, or that failed: they have to be written once more and
    /// synced before anybody reads them.
    var unsynced: (file: Int, range: Range<Int>)?
    var groups = 0
    var tornTails = 0
    /// What is wrong with the files, where that is no reason to stop.
    var damage: [Damage] = []

    mutating func note(_ generation: UInt64) {
      state.newestGeneration = max(state.newestGeneration, generation)
    }
  }

  /// Something in a journal file is not what was written.
  struct Damage: Hashable {
    var file: Int
    var reason: String
  }

  private struct Candidate {
    var file: Int
    var header: JournalHeader
    /// Where its first group begins.
    var start = LogLimits.blockBytes
  }

  let files: [UnsafeRawBufferPointer]
  /// Generations up to this are in the segments.
  let released: UInt64
  /// What is whole behind what is damaged counts, too.
  var isSalvaging = false

  /// Hands every frame that counts to `apply`: its header, its body, and whether that is whole.
  func run(
    _ apply: (FrameHeader, UnsafeRawBufferPointer, Bool) throws(LogBrokerError) -> Void
  ) throws(LogBrokerError) -> Outcome {
    var outcome = Outcome()
    outcome.state.newestGeneration = released
    let candidates = try candidates(&outcome)
    for (index, candidate) in candidates.enumerated() {
      let isFirst = outcome.groups == 0
      // An attempt to begin this file that came to nothing; its group went elsewhere.
      if !isFirst, candidate.header.firstGroup < outcome.state.nextGroup { continue }
      if !isFirst, candidate.header.firstGroup > outcome.state.nextGroup {
        try note(candidates[index - 1].file, "commit groups are missing at its end", &outcome)
      }
      var scan = JournalScan(files[candidate.file], candidate.header, at: candidate.start)
      try replay(&scan, file: candidate.file, &outcome, apply)
    }
    return outcome
  }

  /// The files that hold something to replay, by generation.
  private func candidates(_ outcome: inout Outcome) throws(LogBrokerError) -> [Candidate] {
    var found: [Candidate] = []
    for (file, bytes) in files.enumerated() {
      switch JournalHeader.read(bytes) {
      case .newer(let version):
        throw .formatTooNew(
          file: Journal.path(file), version: version, supported: Int(JournalHeader.version))
      case .valid(let header):
        outcome.note(header.generation)
        if header.generation > released { found.append(Candidate(file: file, header: header)) }
      case .none:
        if isTornFirstWrite(bytes, &outcome) { continue }
        try note(file, "its header is not what was written", &outcome)
        if let candidate = headless(file, bytes) { found.append(candidate) }
      }
    }
    found.sort { $0.header.generation < $1.header.generation }
    return found
  }

  /// A file without a header: never used, or its first write was cut off, perhaps more than once.
  /// With frames of two groups of one generation in it the first of them had been durable, and the
  /// header has been damaged since.
  private func isTornFirstWrite(
    _ bytes: UnsafeRawBufferPointer, _ outcome: inout Outcome
  ) -> Bool {
    var groups: [UInt64: UInt64] = [:]
    var isTorn = true
    for header in JournalScan.frames(in: bytes, from: LogLimits.blockBytes)
    where header.generation > released {
      outcome.note(header.generation)
      // It proves nothing about the group before it.
      if header.followsUnsynced { continue }
      if groups.updateValue(header.group, forKey: header.generation) ?? header.group
        != header.group
      {
        isTorn = false
      }
    }
    if isTorn, !groups.isEmpty { outcome.tornTails += 1 }
    return isTorn
  }

  /// Where reading begins in a file whose header is damaged: with the first group of its newest
  /// generation that is there.
  private func headless(_ file: Int, _ bytes: UnsafeRawBufferPointer) -> Candidate? {
    var first: Candidate?
    for start in stride(from: LogLimits.blockBytes, to: bytes.count, by: LogLimits.blockBytes) {
      guard let frame = FrameHeader(bytes.slice(start..<bytes.count)), frame.index == 0,
        frame.generation > max(released, first?.header.generation ?? 0)
      else { continue }
      first = Candidate(
        file: file,
        header: JournalHeader(
          generation: frame.generation, firstGroup: frame.group, previous: frame.previous),
        start: start)
    }
    return first
  }

  private func replay(
    _ scan: inout JournalScan, file: Int, _ outcome: inout Outcome,
    _ apply: (FrameHeader, UnsafeRawBufferPointer, Bool) throws(LogBrokerError) -> Void
  ) throws(LogBrokerError) {
    while true {
      let start = scan.position
      let frames: [JournalScan.Frame]
      switch scan.read() {
      case .whole(let whole, let end):
        frames = whole
        scan.skip(frames, end: end)
      case .bodiesDamaged(let damaged, let end) where scan.hasLaterGroup:
        frames = damaged
        scan.skip(frames, end: end)
      case .bodiesDamaged, .broken, .nothing:
        guard scan.hasLaterGroup else {
          if scan.hasRestOfGroup { outcome.tornTails += 1 }
          return
        }
        try note(file, "a commit group at byte \(start) is broken", &outcome)
        guard scan.skipBroken() else { return }
        continue
      }
      for frame in frames {
        try apply(frame.header, scan.bytes.slice(frame.body), frame.isWhole)
      }
      outcome.groups += 1
      if let unsynced = outcome.unsynced, unsynced.file == file, frames[0].header.followsUnsynced {
        outcome.unsynced = (file, unsynced.range.lowerBound..<scan.position)
      } else {
        outcome.unsynced = (file, start..<scan.position)
      }
      outcome.state.active = file
      outcome.state.generations[file] = scan.generation
      outcome.state.position = scan.position
      outcome.state.nextGroup = scan.nextGroup
      outcome.state.previous = scan.previous
    }
  }

  private func note(
    _ file: Int, _ reason: String, _ outcome: inout Outcome
  ) throws(LogBrokerError) {
    guard isSalvaging else { throw .damaged(file: Journal.path(file), reason: reason) }
    outcome.damage.append(Damage(file: file, reason: reason))
  }
}
