// Contract: `kfm bench poll` makes the log it needs, goes on with it the next time, and comes upon
// every message in every pass; `kfm bench wake` has a reader woken for every message.

import Base
import Commands
import Foundation
import Testing

@Suite struct PollAndWakeBenchTests {
  /// Runs `body` with a directory of the test's own.
  private func inDirectory(_ body: (String) throws -> Void) throws {
    let path = FileManager.default.temporaryDirectory
      .appendingPathComponent("kfm-bench-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    try body(path)
  }

  private func report(_ words: [String]) throws -> JSON {
    let run = ProgramRun().run(words)
    #expect(run.exitCode == .ok, "\(run.errors)")
    return try Array(run.output.utf8).withUnsafeBytes { try JSON(parsing: $0) }
  }

  @Test func everyMessageIsPolled() throws {
    try inDirectory { path in
      for batches in [2, 3] {
        let report = try report([
          "bench", "poll", "--dir", "\(path)/d", "--batches", "\(batches)", "--rounds", "2",
          "--json",
        ])
        #expect(report["messages"]?.int == Int64(batches * 1_000))
        #expect(report["bytes"]?.int == Int64(batches * 1_000 * 1_024))
      }
    }
  }

  @Test func everyMessageWakesItsReader() throws {
    try inDirectory { path in
      let report = try report([
        "bench", "wake", "--dir", path, "--rounds", "20", "--json",
      ])
      #expect(report["rounds"]?.int == 20)
      for name in ["replicated_same_loop", "persisted_other_loop"] {
        #expect(report["\(name)_p50_us"] != nil)
      }
    }
  }
}
