// Contract: `kfm bench append` writes messages whose every byte follows from producer, sequence and
// seed; each acknowledgement is a line that the log bears out; a second run goes on where the log
// ends; `topics tail --offline` reads it all back. What this version lacks is refused by name.

import Base
import Commands
import Foundation
import Testing
import UringIO

@Suite struct AppendBenchTests {
  /// A directory of the test's own.
  private final class Scratch {
    let path: String
    init() throws {
      let folder = FileManager.default.temporaryDirectory
      path = folder.appendingPathComponent("kfm-bench-\(UUID().uuidString)").path
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }
  }

  private func lines(_ text: String) throws -> [JSON] {
    try text.split(separator: "\n").map { line in
      try Array(line.utf8).withUnsafeBytes { bytes in try JSON(parsing: bytes) }
    }
  }

  private func append(_ scratch: Scratch, _ more: String...) -> ProgramRun.Outcome {
    ProgramRun().run(
      [
        "bench", "append", "--dir", "\(scratch.path)/d", "--batch-bytes", "1000",
        "--message-bytes", "100", "--producers", "3", "--partitions", "2", "--inflight", "2",
        "--seed", "9", "--json",
      ] + more)
  }

  /// Offsets and messages of each partition, read back and compared byte for byte.
  private func contents(_ scratch: Scratch) throws -> [Int64: [BenchMessage]] {
    let tail = ProgramRun().run(
      "topics", "tail", "bench", "--offline", "--data-dir", "\(scratch.path)/d", "--json")
    #expect(tail.exitCode == .ok, "\(tail.errors)")
    var found: [Int64: [BenchMessage]] = [:]
    for line in try lines(tail.output) {
      let data = try #require(Data(base64Encoded: line["data_base64"]?.string ?? ""))
      let message = try #require(data.withUnsafeBytes { BenchMessage($0) })
      #expect(Array(data) == message.bytes(count: 100, seed: 9))
      let partition = try #require(line["partition"]?.int)
      #expect(line["offset"]?.int == Int64(found[partition, default: []].count))
      found[partition, default: []].append(message)
    }
    return found
  }

  /// Whatever the counts, the partitions get a batch each before one gets its next, to within what the
  /// producers are apart: that is what many partitions cost.
  @Test func allPartitionsAreWrittenToAllTheTime() {
    for (producers, partitions) in [(1, 7), (3, 2), (4, 16), (64, 16), (64, 10_000), (7, 100)] {
      var plan = AppendPlan()
      plan.producers = producers
      plan.partitions = partitions
      // One way round of every producer is as many batches a partition as there are producers.
      var counts = [Int](repeating: 0, count: partitions)
      let steps = (partitions + producers - 1) / producers
      for step in 0..<steps {
        for producer in 0..<producers {
          counts[plan.partition(producer: producer, batch: step)] += 1
        }
      }
      let most = (steps * producers + partitions - 1) / partitions
      #expect(counts.min()! >= 1 && counts.max()! <= most + 1, "\(producers) \(partitions)")
    }
  }

  @Test func whatIsAcknowledgedIsThereAndTheNextRunGoesOn() throws {
    let scratch = try Scratch()
    for round in 1...2 {
      let run = append(
        scratch, "--batches", "20", "--acks", "\(scratch.path)/acks", "--seen",
        "\(scratch.path)/seen\(round)")
      #expect(run.exitCode == .ok, "\(run.errors)")
      let report = try lines(run.output)[0]
      #expect(report["batches"]?.int == 20)
      #expect(report["durability"]?.string == "persisted")
      #expect(report["fdatasyncs"]?.int ?? 0 > 0)
      let found = try contents(scratch)
      let all = found.values.flatMap { $0 }
      #expect(Set(all).count == round * 200)
      for producer in 0..<3 {
        let sequences = all.filter { $0.producer == UInt64(producer) }.map(\.sequence).sorted()
        #expect(sequences == Array(0..<UInt64(sequences.count)))
      }
      try expectAcknowledged(scratch, round, found)
      try expectSeen(scratch, round)
    }
  }

  private func expectAcknowledged(
    _ scratch: Scratch, _ round: Int, _ found: [Int64: [BenchMessage]]
  ) throws {
    let acks = try lines(String(contentsOfFile: "\(scratch.path)/acks", encoding: .utf8))
    #expect(acks.count == round * 20)
    for ack in acks {
      #expect(ack["topic"]?.string == "bench" && ack["count"]?.int == 10)
      let partition = try #require(ack["partition"]?.int)
      let offset = try #require(ack["offset"]?.int)
      let producer = try #require(ack["producer"]?.int)
      let sequence = try #require(ack["seq"]?.int)
      for index in 0..<10 {
        #expect(
          found[partition]?[Int(offset) + index]
            == BenchMessage(producer: UInt64(producer), sequence: UInt64(Int(sequence) + index)))
      }
    }
  }

  /// The reader began at the end of the run before, and was handed everything once.
  private func expectSeen(_ scratch: Scratch, _ round: Int) throws {
    var counts: [Int64: Int64] = [:]
    let path = "\(scratch.path)/seen\(round)"
    for line in try lines(String(contentsOfFile: path, encoding: .utf8)) {
      let partition = try #require(line["partition"]?.int)
      let count = try #require(line["count"]?.int)
      #expect(line["offset"]?.int ?? 0 >= counts[partition] ?? 0)
      counts[partition, default: 0] += count
    }
    #expect(counts.values.reduce(0, +) == 200)
  }

  @Test(arguments: ["uring", "epoll"], ["persisted", "replicated"])
  func theReportSaysWhatRan(io: String, durability: String) throws {
    let scratch = try Scratch()
    let run = append(scratch, "--io", io, "--durability", durability)
    let report = try JSON(parsing: Array(run.output.utf8))
    #expect(report["io"]?.string == io)
    #expect(report["durability"]?.string == durability)
  }

  @Test func aTopicKeepsItsPartitions() throws {
    let scratch = try Scratch()
    #expect(append(scratch, "--batches", "0").exitCode == .ok)
    let other = ProgramRun().run(
      "bench", "append", "--dir", "\(scratch.path)/d", "--partitions", "5")
    #expect(other.exitCode == .usage)
    #expect(other.errors.contains("expected 2"))
  }

  @Test(arguments: [
    ["--durability", "hopeful"], ["--io", "threads"], ["--message-bytes", "70000"],
  ]) func whatIsNotThereIsRefused(words: [String]) {
    let run = ProgramRun().run(["bench", "append", "--dir", "/nonexistent/x"] + words)
    #expect(run.exitCode == .usage)
    #expect(run.errors.contains(words[0]) || run.errors.contains("expected"))
  }
}
