// Contract: whatever a process was doing when it was killed or the power went, the log opens again,
// every acknowledged or shown record is there at its offset with its content, an append is there
// whole or not at all, offsets are never minted twice and stored offsets never go back.
// (The simulated disk tears sectors at byte granularity; it cannot show what a disk does that
// reorders writes across a flush, or lies about one.)

import Base
import LogBroker
import Testing

@Suite struct PowerLossTests {
  /// Lives of random length, ended in random ways at random calls.
  @Test func nothingIsLostOverManyLives() {
    let seeds = 0..<160
    var lives = 0
    var directs = 0
    var acknowledgements = 0
    for seed in seeds {
      let workload = BusWorkload(seed: UInt64(seed))
      let random = SeededRandom(seed: UInt64(seed) ^ 0xBEEF)
      for _ in 0..<10 {
        // Some power losses come in the middle of opening, most in the middle of work; some lives
        // end otherwise.
        if random.next(below: 4) > 0 {
          workload.disk.faults[Int(random.next(below: 160))] = .crash
        }
        guard workload.open() else {
          workload.end(.powerLoss)
          continue
        }
        workload.verify()
        // Short lives, too: what a start relies on must not need a later commit to become durable.
        workload.run(operations: random.next(below: 3) == 0 ? Int(random.next(below: 3)) : 40)
        let ends = BusWorkload.End.allCases
        workload.end(
          workload.disk.isDead ? .powerLoss : ends[Int(random.next(below: UInt64(ends.count)))])
        lives += 1
      }
      workload.open()
      workload.verify()
      acknowledgements += workload.acknowledgements
      directs += workload.metrics.directWrites.value
      #expect(workload.problems.count == 0, "\(workload.problems.first ?? "")")
    }
    #expect(lives > 1_000)
    #expect(acknowledgements > 1_000)
    #expect(directs > 1_000)
  }
}
