// Contract: whatever ends the program, and whatever the disk loses of what was not synced, the next
// start works, everything acknowledged is at its offset with its bytes, no offset is given twice,
// there is no gap, stored offsets do not go back, and a turn that was accepted has one end. Judged
// by programs apart (Tests/Instruments); that they see a loss is shown on a disk whose syncs lie,
// and that the disk is fair on SQLite.
// Not shown here: more than a few lives; `make prove` runs many.
import Foundation
import TestSupport
import Testing

extension NodeTests {
  @Suite struct CrashTests {
    private static let skipped: Int32 = 77

    private struct Verdict {
      var exitCode: Int32
      /// Rows `name value bar pass|FAIL`.
      var rows: [[String]]
      var text: String

      var isSkipped: Bool { exitCode == CrashTests.skipped }
      var failed: Set<String> { Set(rows.filter { $0.last == "FAIL" }.map { $0[0] }) }
      /// Not merely too little to judge.
      var seesALoss: Bool {
        failed.contains { row in
          ["lost", "damaged", "not_started"].contains { row.hasSuffix($0) }
        }
      }
    }

    private static func run(_ arguments: String...) throws -> Verdict {
      let script = "\(TestPaths.root)/Tests/Instruments/crash.py"
      let outcome = try ChildProgram(
        "/usr/bin/env", ["python3", script] + arguments + ["--kfm", TestPaths.kfm],
        in: TestFolder(), name: "crash"
      ).wait(seconds: 300)
      let rows = outcome.output.split(separator: "\n").map { line in
        line.split(separator: " ").map(String.init)
      }.filter { $0.count == 4 }
      if outcome.exitCode == skipped { print("CrashTests: \(outcome.output)") }
      return Verdict(
        exitCode: outcome.exitCode, rows: rows, text: outcome.output + outcome.errors)
    }

    private func expectNoFailure(_ verdict: Verdict, rows: Int) {
      guard !verdict.isSkipped else { return }
      #expect(verdict.exitCode == 0, "\(verdict.text)")
      #expect(verdict.rows.count == rows && verdict.failed.isEmpty, "\(verdict.text)")
    }

    @Test func nothingAcknowledgedIsLostByAKill() throws {
      expectNoFailure(try Self.run("kill", "--rounds", "25"), rows: 14)
    }

    @Test func nothingAcknowledgedIsLostWithThePower() throws {
      expectNoFailure(try Self.run("power", "--rounds", "24"), rows: 13)
    }

    @Test func turnsSurviveThePowerCut() throws {
      expectNoFailure(try Self.run("serve", "--rounds", "6"), rows: 6)
    }

    @Test func theInstrumentIsFair() throws {
      let seed = testSeed() % (1 << 30)
      expectNoFailure(try Self.run("sqlite", "--rounds", "8", "--seed", "\(seed)"), rows: 3)
    }

    @Test func theInstrumentSeesALoss() throws {
      let sqlite = try Self.run("sqlite", "--rounds", "16", "--unsafe")
      #expect(sqlite.isSkipped || sqlite.seesALoss, "\(sqlite.text)")
      let log = try Self.run("power", "--rounds", "12", "--lie")
      #expect(log.isSkipped || log.seesALoss, "\(log.text)")
    }
  }
}
