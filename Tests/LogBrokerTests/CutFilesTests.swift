// Contract: what no crash does to the log's files is told from what one does. A journal that was
// cut behind its last record opens and misses nothing; one that was cut into its records, and a
// log whose catalog is gone, are refused and left as they are.

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

  @Test func aJournalThatWasCutBehindItsLastRecordIsMadeWhole() {
    let (workload, _) = killedLog()
    for cut in [1, 3, 500, 5_000] {
      let whole = workload.disk.content(of: Self.journal)
      workload.disk.setContent(Array(whole.dropLast(cut)), of: Self.journal)
      #expect(workload.open())
      workload.verify()
      #expect(workload.disk.content(of: Self.journal).count == whole.count)
      workload.append()
      workload.loop.settle()
      workload.verify()
      workload.end(.kill)
    }
    #expect(workload.acknowledgements == 8)
    #expect(workload.problems.isEmpty, "\(workload.problems)")
  }

  @Test func aJournalThatWasCutIntoItsRecordsIsRefused() {
    let (workload, used) = killedLog()
    let whole = workload.disk.content(of: Self.journal)
    for kept in [used - 1, used - 100, used / 2] {
      workload.disk.setContent(Array(whole.prefix(kept)), of: Self.journal)
      #expect(!workload.open(), "\(kept) of \(used) bytes")
      #expect(workload.disk.content(of: Self.journal).count == kept)
    }
    #expect(workload.problems.allSatisfy { $0.contains("damaged") })
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
