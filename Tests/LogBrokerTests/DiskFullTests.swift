// Contract: on a full disk producers get `diskFull`, nothing acknowledged is lost, reads go on, a
// restart works, and with room again appends go through, also when nobody asked meanwhile.

import Base
import Events
import LogBroker
import Testing

@Suite struct DiskFullTests {
  /// A log whose disk is full, filled until it refuses.
  private func full() throws -> BusWorkload {
    let workload = BusWorkload(seed: 5)
    #expect(workload.open())
    workload.run(operations: 20)
    workload.loop.settle()
    workload.disk.isFull = true
    var last: Result<[UInt64], BusError>?
    for _ in 0..<400 {
      workload.append()
      last = workload.appendAndSettle()
      if case .failure = last { break }
    }
    guard case .failure(.diskFull)? = last else {
      Issue.record("not refused: \(last as Any)")
      return workload
    }
    #expect(workload.bus?.isDiskFull == true)
    return workload
  }

  @Test func readsGoOnAndAppendsResume() throws {
    let workload = try full()
    workload.verify()
    guard case .failure(.diskFull)? = workload.appendAndSettle() else {
      Issue.record("taken although the disk is full")
      return
    }
    workload.disk.isFull = false
    #expect((try? workload.appendAndSettle()?.get()) != nil)
    #expect(workload.bus?.isDiskFull == false)
    workload.run(operations: 60)
    workload.end(.powerLoss)
    workload.open()
    workload.verify()
    #expect(workload.problems.count == 0, "\(workload.problems.first ?? "")")
  }

  @Test func roomIsFoundWithoutBeingAsked() throws {
    let workload = try full()
    workload.loop.fireNextTimer()
    workload.loop.settle()
    #expect(workload.bus?.isDiskFull == true)
    workload.disk.isFull = false
    workload.loop.fireNextTimer()
    workload.loop.settle()
    #expect(workload.bus?.isDiskFull == false)
  }

  @Test(arguments: BusWorkload.End.allCases)
  func aFullDiskCanBeRestartedFrom(end: BusWorkload.End) throws {
    let workload = try full()
    workload.end(end)
    workload.disk.isFull = true
    #expect(workload.open())
    workload.verify()
    workload.disk.isFull = false
    #expect((try? workload.appendAndSettle()?.get()) != nil)
    workload.verify()
    #expect(workload.problems.count == 0, "\(workload.problems.first ?? "")")
  }
}
