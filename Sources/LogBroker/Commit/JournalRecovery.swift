import Iggy

/// Finds, in the two journal files, the groups that are to be replayed, in their order. Sans I/O.
///
/// A group counts whole or not at all. What a crash can leave behind, the last group torn, is cut
/// off; damage before that is reported, per partition where its frames still say which.
struct JournalRecovery {
  /// What became of the journals, and where to go on.
  struct Outcome {
    var state = Journal.State()
    /// The last group that counts. A crash may have come before its sync: it has to be written
    /// once more and synced before anybody reads it.
    var last: (file: Int, range: Range<Int>)?
    var groups = 0
    var tornTails = 0
    var isTorn: Bool { tornTails > 0 }
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
    outcome.state.generation = released
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
        if header.generation > released { found.append(Candidate(file: file, header: header)) }
      case .none:
        if try isFirstWriteTorn(file, bytes) { outcome.tornTails += 1 }
      }
    }
    found.sort { $0.header.generation < $1.header.generation }
    return found
  }

  /// A file without a header: never used, or its first write was cut off. With frames of two
  /// groups in it the first had been durable, and the header has been damaged since.
  private func isFirstWriteTorn(
    _ file: Int, _ bytes: UnsafeRawBufferPointer
  ) throws(LogBrokerError) -> Bool {
    var first: (generation: UInt64, group: UInt64)?
    for header in JournalScan.frames(in: bytes, from: LogLimits.blockBytes)
    where header.generation > released {
      if let first, first != (header.generation, header.group) {
        throw damaged(file, "its header is not what was written")
      }
      first = (header.generation, header.group)
    }
    return first != nil
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
      outcome.last = (file, start..<scan.position)
      outcome.state = Journal.State(
        active: file, generation: scan.generation, position: scan.position,
        nextGroup: scan.nextGroup, previous: scan.previous)
    }
  }

  private func damaged(_ file: Int, _ reason: String) -> LogBrokerError {
    .damaged(file: Journal.path(file), reason: reason)
  }
}
