import Base
import Glibc
import UringIO

/// `kfm bench loop`: what awaiting on the loop and waking another loop cost.
struct LoopCommand: Command {
  static let definition = CommandDefinition(
    words: ["bench", "loop"],
    summary: "what an await on the loop and a wake-up of another loop cost",
    flags: [
      FlagDefinition(name: "scale", kind: .rate, summary: "less than 1 for a quick look (1)"),
      FlagDefinition(name: "json", kind: nil, summary: "one JSON object"),
    ],
    examples: [
      Example("kfm bench loop", "nanoseconds of this machine"),
      Example("kfm bench loop --scale 0.1 --json", "quickly, for a program"),
    ]
  ) { typed throws(UsageError) in
    LoopCommand(scale: typed.number("scale") ?? 1, isJSON: typed.has("json"))
  }

  let scale: Double
  let isJSON: Bool

  func run(in context: CommandContext) throws(CommandFailure) -> ExitCode {
    let loop = try EventLoop.forCommand(context, options: EventLoopOptions())
    defer { loop.close() }
    let rounds = max(100, Int(200_000 * min(scale, 100)))
    let before = loop.statistics.foreignEnqueues.value
    let plain = AwaitBench.run(on: loop, rounds: rounds, isCancellable: false)
    let cancellable = AwaitBench.run(on: loop, rounds: rounds, isCancellable: true)
    let hops = loop.statistics.foreignEnqueues.value - before
    let ping: Double
    do throws(RingFailure) {
      ping = try PingBench.run(on: loop, rounds: rounds / 10)
    } catch {
      throw CommandFailure(.ringForbidden, error.description)
    }
    let figures: [(String, Double)] = [
      ("await_ns", plain), ("await_cancellable_ns", cancellable), ("hops", Double(hops)),
      ("ping_ns", ping),
    ]
    guard !isJSON else {
      var object: JSONObject = ["io": .string(loop.io.rawValue)]
      for (name, value) in figures { object[name] = .double(value) }
      context.output.line(JSON.object(object).text)
      return .ok
    }
    context.output.line("io: \(loop.io.rawValue)")
    for (name, value) in figures { context.output.line("\(name): \(Int(value.rounded()))") }
    return .ok
  }
}

/// Two tasks of one loop that resume each other: each await suspends, and each resume goes through
/// the loop's executor.
enum AwaitBench {
  /// CPU nanoseconds of one await with its resume.
  static func run(on loop: EventLoop, rounds: Int, isCancellable: Bool) -> Double {
    let pair = Pair()
    for side in 0..<2 {
      loop.startTask { _ in
        await pair.play(side: side, rounds: rounds, isCancellable: isCancellable)
      }
    }
    let began = cpu()
    _ = loop.runUntil({ pair.ended == 2 }, deadline: .seconds(60))
    return Double(cpu() - began) / Double(2 * rounds)
  }

  private static func cpu() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

  private final class Pair {
    private var waiting: [UnsafeContinuation<Void, Never>?] = [nil, nil]
    private(set) var ended = 0

    nonisolated(nonsending) func play(side: Int, rounds: Int, isCancellable: Bool) async {
      for _ in 0..<rounds where ended == 0 {
        wakeOther(side)
        if isCancellable {
          await withTaskCancellationHandler {
            await withUnsafeContinuation { waiting[side] = $0 }
          } onCancel: {
          }
        } else {
          await withUnsafeContinuation { waiting[side] = $0 }
        }
      }
      ended += 1
      wakeOther(side)
    }

    private func wakeOther(_ side: Int) {
      let other = waiting[1 - side]
      waiting[1 - side] = nil
      other?.resume()
    }
  }
}

/// Two loops on two threads that post to each other in turn, as a publisher wakes a consumer.
enum PingBench {
  /// Nanoseconds from a post to its callback.
  static func run(on loop: EventLoop, rounds: Int) throws(RingFailure) -> Double {
    let other = try LoopThread()
    defer { other.stop() }
    let ping = Ping(here: loop.handle, there: other.handle, rounds: rounds)
    let began = loop.clock.monotonic()
    ping.send(0)
    loop.run()
    return Double((loop.clock.monotonic() - began).count) / Double(2 * rounds)
  }

  private final class Ping: Sendable {
    private let here: EventLoopHandle
    private let there: EventLoopHandle
    private let rounds: Int

    init(here: EventLoopHandle, there: EventLoopHandle, rounds: Int) {
      self.here = here
      self.there = there
      self.rounds = rounds
    }

    func send(_ round: Int) {
      there.post { [self] _ in
        here.post { [self] loop in
          if round + 1 < rounds { send(round + 1) } else { loop.stop() }
        }
      }
    }
  }
}
