// Contract: where no descriptor is left, at whatever moment, producers get a typed error and nothing
// acknowledged is lost; once there are some again appends go through, without a restart.

import Base
import Events
import LogBroker
import Testing

@Suite struct NoDescriptorTests {
  @Test(arguments: 0..<60 as Range<UInt64>)
  func appendsResume(seed: UInt64) throws {
    let workload = BusWorkload(seed: 900 + seed)
    #expect(workload.open())
    workload.run(operations: Int(seed) * 2)
    workload.disk.hasNoDescriptors = true
    for _ in 0..<120 {
      workload.append()
      workload.loop.turn()
    }
    workload.loop.settle()
    #expect(workload.refusals > 0)
    workload.disk.hasNoDescriptors = false
    #expect((try? workload.appendAndSettle()?.get()) != nil)
    #expect(workload.bus?.fenceReason == nil)
    workload.run(operations: 40)
    workload.end(.powerLoss)
    workload.open()
    workload.verify()
    #expect(workload.problems.count == 0, "\(workload.problems.first ?? "")")
  }
}
