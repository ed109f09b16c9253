// Contract: a log whose catalog is gone is refused and left as it is; it is never begun anew over
// its records.

import Base
import LogBroker
import Testing

@Suite struct CutFilesTests {
  private static let journal = "log/journal-0-a.wal"

  /// A log with records in the journal alone, after a kill.
  private func killedLog() -> (workload: BusWorkload, used: Int) {
    let workload = BusWorkload(seed: 11)
    workload.open()
    for _ in 0..<4 {
      workload.append()
      workload.loop.settle()
    }
    workload.end(.kill)
    let used = workload.disk.content(of: Self.journal).lastIndex { $0 != 0 }.map { $0 + 1 } ?? 0
    return (workload, used)
  }

  @Test func aLogWithoutItsCatalogIsNotBegunAnew() {
    let (workload, _) = killedLog()
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
