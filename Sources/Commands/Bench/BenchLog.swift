import Base
import Events
import Glibc
import LogBroker
import Observability
import UringIO

/// A log with topic `bench` that a benchmark works on: its loop, its storage, its bus.
final class BenchLog {
  let loop: EventLoop
  let storage: RingStorage
  let bus: EmbeddedBus
  private let log: StructuredLogger

  /// How the log and its topic are to be.
  struct Setup {
    var io = IOChoice.auto
    var durability = Durability.persisted
    /// Bytes; nil for the log's own limit.
    var segmentBytes: Int?
    /// Bytes of the topic; nil for ever.
    var retentionBytes: Int?
    var compression = Compression.none
    var key: LogKey?
  }

  /// Opens or makes the log in `directory`.
  init(
    _ context: CommandContext, _ directory: String, partitions: Int, _ setup: Setup
  ) throws(CommandFailure) {
    do throws(RingFailure) {
      var options = EventLoopOptions()
      options.io = setup.io
      loop = try EventLoop(options: options, clock: context.clock)
    } catch {
      throw StartFailure(error).commandFailure
    }
    let root = Path.absolute(directory, in: context.workingDirectory)
    storage = RingStorage(root: root, loop: loop)
    log = StructuredLogger(
      ring: LogRing(), descriptor: STDERR_FILENO, clock: context.clock,
      settings: LogSettings(level: .warning))
    var options = EmbeddedBusOptions(
      storage: storage, loop: loop,
      logger: Logger(module: "bench", ring: log.ring, clock: context.clock),
      dataDirectory: root)
    options.partitionCounts = [.bench: partitions]
    var topic = TopicSettings()
    topic.durability = setup.durability
    topic.segmentBytes = setup.segmentBytes
    topic.retentionBytes = setup.retentionBytes
    topic.compression = setup.compression
    options.topics = [.bench: topic]
    options.key = setup.key
    do throws(LogBrokerError) {
      bus = try EmbeddedBus.open(options)
    } catch {
      log.stop()
      throw StartFailure(error).commandFailure
    }
    let count = bus.partitionCount(of: .bench)
    guard count == partitions else {
      log.stop()
      throw CommandFailure(
        .usage, "--partitions: topic bench was created with \(count) in \(root); expected \(count)")
    }
  }

  /// Makes the next start a short one.
  func closeBus() throws(CommandFailure) {
    var isClosed = false
    bus.close { isClosed = true }
    guard loop.runUntil({ isClosed }, deadline: .seconds(300)) else {
      throw CommandFailure(.deadline, "the log did not close within 300 s")
    }
  }

  func close() {
    loop.close()
    log.stop()
  }
}
