// Contract: whatever a process was doing when it was killed or the power went, the log opens again,
// every acknowledged or shown record is there at its offset with its content, an append is there
// whole or not at all, offsets are never minted twice and stored offsets never go back. Each thing
// that a disk may lose was lost many times, and each way of acknowledging too early is found.
// (The simulated disk tears sectors at byte granularity; it cannot show what a disk does that
// reorders writes across a flush, or lies about one.)

import Base
import LogBroker
import Testing

@Suite struct PowerLossTests {
  private struct Outcome {
    var crashPoints = 0
    var acknowledgements = 0
    var directWrites = 0
    var clockJumps = 0
    var problems: [String] = []
    var tally: [String: Int] = [:]

    mutating func add(_ workload: BusWorkload) {
      acknowledgements += workload.acknowledgements
      directWrites += workload.metrics.directWrites.value
      clockJumps += workload.clockJumps
      problems += workload.problems
      tally.merge(workload.disk.tally.counts, uniquingKeysWith: +)
    }
  }

  /// Lives of random length on one disk, ended in random ways at random calls; all but a few by a
  /// power loss.
  private func lives(
    seed: Int, lie: SimulatedDisk.Lie? = nil, isEnciphered: Bool = false,
    into outcome: inout Outcome
  ) {
    let workload = BusWorkload(seed: UInt64(seed))
    if isEnciphered { workload.key = BusFixtures.key }
    let random = SeededRandom(seed: UInt64(seed) ^ 0xBEEF)
    for life in 0..<10 {
      // A log that cannot even be made shows nothing.
      if life == 1, let lie { workload.disk.lies = [lie] }
      // Some power losses come in the middle of opening, most in the middle of work.
      if random.next(below: 5) > 0 {
        workload.disk.faults[Int(random.next(below: 160))] = .crash
      }
      if workload.open() {
        workload.verify()
        // Short lives, too: what a start relies on must not need a later commit to become durable.
        workload.run(operations: random.next(below: 3) == 0 ? Int(random.next(below: 3)) : 40)
      }
      let choice = random.next(below: 6)
      let end: BusWorkload.End =
        workload.disk.isDead || choice > 1 ? .powerLoss : choice == 0 ? .close : .kill
      if end == .powerLoss { outcome.crashPoints += 1 }
      workload.end(end)
      if lie != nil, !workload.problems.isEmpty { break }
    }
    workload.open()
    workload.verify()
    outcome.add(workload)
  }

  /// Two halves, side by side.
  @Test(arguments: 0..<2) func nothingIsLostOverManyLives(half: Int) {
    let wanted = ProofScale.count(10_000, whole: ProofScale.crashPoints) / 2
    var outcome = Outcome()
    var seed = ProofScale.firstSeed * 2 + half
    while outcome.crashPoints < wanted, outcome.problems.count < 5 {
      lives(seed: seed, isEnciphered: half == 1 && seed % 4 == 1, into: &outcome)
      seed += 2
    }
    #expect(outcome.problems.isEmpty, "\(outcome.problems)")
    #expect(outcome.acknowledgements > wanted)
    #expect(outcome.directWrites > wanted / 2)
    #expect(outcome.clockJumps > 100)
    ProofScale.row(
      "sim_clock_jumps_\(half)", outcome.clockJumps, ">100", outcome.clockJumps > 100)
    let kinds = [
      "sector kept", "sector dropped", "sector torn", "size kept", "size lost", "size in between",
      "entry kept", "entry lost", "file lost with its directory",
    ]
    for kind in kinds {
      #expect(outcome.tally[kind, default: 0] > 20, "\(kind) hardly ever happened")
      ProofScale.row(
        "sim_power_\(kind.split(separator: " ").joined(separator: "_"))",
        outcome.tally[kind, default: 0], ">20", outcome.tally[kind, default: 0] > 20)
    }
    ProofScale.row(
      "sim_power_crash_points_\(half)", outcome.crashPoints, ">=\(wanted)",
      outcome.crashPoints >= wanted)
    ProofScale.row(
      "sim_power_problems_\(half)", outcome.problems.count, "0", outcome.problems.isEmpty)
  }

  /// Seeds that have found something once. 40523877: the file of a batch that a start had found ended
  /// inside the batch's padding; the next start took that for damage, and wrote over batches behind it.
  @Test(arguments: [40_523_877]) func whatWasFoundOnceIsNotFoundAgain(seed: Int) {
    var outcome = Outcome()
    lives(seed: seed, isEnciphered: seed % 4 == 1, into: &outcome)
    #expect(outcome.problems.isEmpty, "\(outcome.problems)")
  }

  /// However a life ends, nothing is left of it in memory: a proof has a million of them.
  @Test func livesLeaveNothingBehind() {
    // A log that is still there has its disk with it.
    var disks: [() -> SimulatedDisk?] = []
    for seed in 0..<20 {
      let workload = BusWorkload(seed: UInt64(seed))
      for life in 0..<6 {
        if life % 2 == 1 { workload.disk.faults[life * 20 + seed] = .crash }
        if workload.open() { workload.run(operations: 40) }
        disks.append { [weak disk = workload.disk] in disk }
        workload.end(workload.disk.isDead ? .powerLoss : .kill)
      }
    }
    #expect(disks.count == 120)
    #expect(disks.count { $0() != nil } == 0)
  }

  /// What acknowledges too early is found within 200 seeds.
  @Test(arguments: SimulatedDisk.Lie.allCases) func aLieIsFound(lie: SimulatedDisk.Lie) {
    var outcome = Outcome()
    var seed = 0
    while outcome.problems.isEmpty, seed < 200 {
      lives(seed: seed, lie: lie, into: &outcome)
      seed += 1
    }
    ProofScale.row("sim_power_finds_\(lie)", seed, "<=200", !outcome.problems.isEmpty)
    #expect(!outcome.problems.isEmpty, "\(lie) was not found in \(seed) seeds")
  }
}
