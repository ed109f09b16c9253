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

    mutating func note(_ generation: UInt64) {
      state.newestGeneration = max(state.newestGeneration, generation)
    }
  }

  private struct Candidate {
    var file: Int
    var header: JournalHeader
  }

  let files: [UnsafeRawBufferPointer]
  /// Generations up to this are in the segments.
  let released: UInt64

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
        throw damaged(candidates[index - 1].file, "commit groups are missing at its end")
      }
      var scan = JournalScan(files[candidate.file], candidate.header)
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
        try checkTornFirstWrite(file, bytes, &outcome)
      }
    }
    found.sort { $0.header.generation < $1.header.generation }
    return found
  }

  /// A file without a header: never used, or its first write was cut off, perhaps more than once.
  /// With frames of two groups of one generation in it the first of them had been durable, and the
  /// header has been damaged since.
  private func checkTornFirstWrite(
    _ file: Int, _ bytes: UnsafeRawBufferPointer, _ outcome: inout Outcome
  ) throws(LogBrokerError) {
    var groups: [UInt64: UInt64] = [:]
    for header in JournalScan.frames(in: bytes, from: LogLimits.blockBytes)
    where header.generation > released {
      outcome.note(header.generation)
      // It proves nothing about the group before it.
      if header.followsUnsynced { continue }
      if groups.updateValue(header.group, forKey: header.generation) ?? header.group
        != header.group
      {
        throw damaged(file, "its header is not what was written")
      }
    }
    if !groups.isEmpty { outcome.tornTails += 1 }
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
        if scan.hasLaterGroup { throw damaged(file, "a commit group at byte \(start) is broken") }
        if scan.hasRestOfGroup { outcome.tornTails += 1 }
        return
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

  private func damaged(_ file: Int, _ reason: String) -> LogBrokerError {
    .damaged(file: Journal.path(file), reason: reason)
  }
}
