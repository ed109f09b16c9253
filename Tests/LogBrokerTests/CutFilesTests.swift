// Contract: a log whose catalog is gone is refused and left as it is; it is never begun anew over
// its records. A journal that ends inside the padding of its last group goes on at the next block.

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

  /// Where the power went before a new journal's whole size was durable. What is acknowledged from
  /// then on has to be found by the life after the next.
  @Test(arguments: [6_000, 6_144, 7_168, 8_191, 8_192, 9_000])
  func aJournalCutInItsPaddingGoesOnAtTheNextBlock(size: Int) {
    let workload = BusWorkload(seed: 12)
    workload.open()
    #expect((try? workload.appendAndSettle()?.get()) != nil)
    workload.end(.kill)
    workload.disk.setSize("log/journal-0-a.wal", size)
    for _ in 0..<3 {
      workload.open()
      workload.verify()
      #expect((try? workload.appendAndSettle()?.get()) != nil)
      workload.end(.powerLoss)
    }
    workload.open()
    workload.verify()
    #expect(workload.problems.count == 0, "\(workload.problems.first ?? "")")
  }
}
