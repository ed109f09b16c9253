// Contract: whichever call to the storage fails, and however, nothing acknowledged is lost. A full
// disk and a short write are answered `diskFull` and pass; any other failed write or sync fences
// the log, which acknowledges nothing any more and recovers at the next start.

import Base
import Events
import LogBroker
import Testing

@Suite struct FailingCallTests {
  /// Enough for several checkpoints.
  static let operations = 60

  /// The same operations every time, with one fault; returns the workload after its last operation.
  private func run(_ fault: SimulatedDisk.Fault?, at call: Int) -> BusWorkload {
    let workload = BusWorkload(seed: 77)
    if let fault { workload.disk.faults[call] = fault }
    if workload.open() { workload.run(operations: Self.operations) }
    return workload
  }

  private var calls: Int { run(nil, at: 0).disk.calls }

  private func reopen(_ workload: BusWorkload, after end: BusWorkload.End) {
    workload.end(end)
    workload.open()
    workload.verify()
    let again = workload.appendAndSettle()
    if case .success = again {
    } else {
      workload.problem("no append after a restart: \(again as Any)")
    }
    workload.verify()
  }

  @Test(arguments: SimulatedDisk.Fault.allCases)
  func everyCallMayFail(fault: SimulatedDisk.Fault) {
    let calls = calls
    #expect(calls > 100)
    var happened = 0
    for call in 0..<calls {
      let workload = run(fault, at: call)
      happened += workload.disk.hasFailed ? 1 : 0
      if let bus = workload.bus, !workload.disk.isDead, workload.disk.hasFailed {
        let next = workload.appendAndSettle()
        expectOutcome(workload, bus, fault, next, call)
      }
      reopen(workload, after: call % 2 == 0 || fault == .crash ? .powerLoss : .kill)
      #expect(
        workload.problems.count == 0, "\(fault) at call \(call): \(workload.problems.first ?? "")")
    }
    #expect(happened > 10)
    ProofScale.row("sim_failing_calls_\(fault)", happened, ">10", happened > 10)
  }

  /// A process is killed at every call in turn; the next one works on what the page cache shows and
  /// then loses the power: what it relied on must have been durable. Twice, since a disk keeps or
  /// drops what was not synced as it likes.
  @Test func whatAKilledProcessLeftIsMadeDurable() {
    for call in 0..<calls {
      for round in 0..<2 {
        let workload = BusWorkload(seed: 77)
        workload.disk.faults[call] = .crash
        if workload.open() { workload.run(operations: Self.operations) }
        workload.end(.kill)
        workload.open()
        workload.verify()
        if round == 1 { workload.run(operations: Self.operations) }
        reopen(workload, after: .powerLoss)
        #expect(workload.problems.count == 0, "call \(call): \(workload.problems.first ?? "")")
      }
    }
  }

  private func expectOutcome(
    _ workload: BusWorkload, _ bus: EmbeddedBus, _ fault: SimulatedDisk.Fault,
    _ next: Result<[UInt64], BusError>?, _ call: Int
  ) {
    switch fault {
    case .diskFull, .shortWrite:
      // There is room again: the first append that is asked for goes through.
      #expect((try? next?.get()) != nil, "call \(call): \(next as Any)")
      #expect(!bus.isDiskFull && bus.fenceReason == nil, "call \(call)")
    case .syncError:
      guard case .failure(.unavailable)? = next else {
        Issue.record("acknowledged after a failed sync (call \(call)): \(next as Any)")
        return
      }
      #expect(bus.fenceReason != nil, "call \(call)")
    case .ioError, .crash: break
    }
  }
}
