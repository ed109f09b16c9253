// Contract: a log whose catalog is gone is refused and left as it is; it is never begun anew over
// its records.

import Base
import LogBroker
import Testing

@Suite struct CutFilesTests {
  /// A log with records in the journal alone, after a kill.
  private func killedLog() -> BusWorkload {
    let workload = BusWorkload(seed: 11)
    workload.open()
    for _ in 0..<4 {
      workload.append()
      workload.loop.settle()
    }
    workload.end(.kill)
    return workload
  }

  @Test func aLogWithoutItsCatalogIsNotBegunAnew() {
    let workload = killedLog()
    let catalog = workload.disk.content(of: "log/catalog.json")
    workload.disk.removeFile("log/catalog.json")
    #expect(!workload.open())
    #expect(workload.problems.count == 1)
    #expect(workload.problems.first?.contains("catalog.json") == true)
    workload.disk.setContent(catalog, of: "log/catalog.json")
    #expect(workload.open())
    workload.verify()
    #expect(workload.problems.count == 1)
  }
}
