import Base
import Events

/// `kfm bench envelope`: what it takes to find an envelope's fields, and to check it whole.
struct EnvelopeBenchCommand: Command {
  static let definition = CommandDefinition(
    words: ["bench", "envelope"],
    summary: "scan or validate the events of a file, and report the CPU time each took",
    arguments: [
      ArgumentDefinition(
        name: "FILE", kind: .file,
        summary: "events, each behind its length in bytes (32 bits, little endian)")
    ],
    flags: [
      FlagDefinition(
        name: "operation", kind: .choice(["scan", "validate"]),
        summary: "find the fields and skip the payload, or check every byte (scan)"),
      FlagDefinition(
        name: "duration", kind: .duration, summary: "CPU time of a measurement, about (50ms)"),
      FlagDefinition(
        name: "repeat", kind: .integer("N", 1...1_000_000), summary: "measurements (1)"),
      .json,
    ],
    examples: [
      Example("kfm bench envelope --json Benchmarks/out/envelope/2048-last.txt", "one measurement"),
      Example(
        "kfm bench envelope --operation validate --repeat 9 Benchmarks/out/envelope/300-first.txt",
        "nine of the full check"),
    ]
  ) { typed throws(UsageError) in
    EnvelopeBenchCommand(
      path: typed.argument(0) ?? "", isScan: typed["operation"] != "validate",
      seconds: typed.duration("duration")?.seconds ?? 0.05, count: typed.integer("repeat") ?? 1,
      isJSON: typed.has("json"))
  }

  let path: String
  let isScan: Bool
  let seconds: Double
  let count: Int
  let isJSON: Bool

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    guard let bytes = BinaryFile.read(path) else {
      throw CommandFailure(.failed, "\(path) cannot be read; Benchmarks/envelope makes such files")
    }
    let documents = Self.documents(bytes)
    guard !documents.isEmpty else {
      throw CommandFailure(.failed, "\(path) holds no events behind their lengths")
    }
    for _ in 0..<count {
      let (nanoseconds, taken) = bytes.withUnsafeBytes { measure($0, documents) }
      let operation = isScan ? "scan" : "validate"
      guard isJSON else {
        let rounded = Double(Int(nanoseconds * 10)) / 10
        context.output.line("\(operation): \(rounded) ns of CPU an event, \(taken) taken")
        continue
      }
      context.output.line(
        JSON.object([
          "operation": .string(operation), "cpu_ns": .double(nanoseconds),
          "events": .int(Int64(documents.count)), "taken": .int(Int64(taken)),
        ]).text)
    }
    return .ok
  }

  private static func documents(_ bytes: [UInt8]) -> [Range<Int>] {
    var found: [Range<Int>] = []
    var at = 0
    while at + 4 <= bytes.count {
      let length = (0..<4).reduce(0) { $0 | Int(bytes[at + $1]) << (8 * $1) }
      guard length <= bytes.count - at - 4 else { return [] }
      found.append(at + 4..<at + 4 + length)
      at += 4 + length
    }
    return found
  }

  /// The mean CPU time of an event, and how many of the events are envelopes.
  private func measure(
    _ bytes: UnsafeRawBufferPointer, _ documents: [Range<Int>]
  ) -> (nanoseconds: Double, taken: Int) {
    var (rounds, taken) = (0, 0)
    var envelope = EnvelopeScanner()
    let began = ProcessUsage.cpuSeconds()
    var spent = 0.0
    repeat {
      // The clock is a system call that takes as long as several events.
      for _ in 0..<64 {
        taken = 0
        for range in documents {
          let event = UnsafeRawBufferPointer(rebasing: bytes[range])
          taken += (isScan ? envelope.read(event) : Envelope.isValid(event)) ? 1 : 0
        }
        rounds += 1
      }
      spent = ProcessUsage.cpuSeconds() - began
    } while spent < seconds
    return (spent * 1e9 / Double(rounds) / Double(documents.count), taken)
  }
}
