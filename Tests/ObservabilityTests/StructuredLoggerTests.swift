import Base
import Glibc
import Observability
import Testing

/// Contract: what a module logs above its level comes out once, whole and in order; the writer's
/// descriptor may be slow, small or gone without holding up who logs.
@Suite struct StructuredLoggerTests {
  @Test func writesRecordsInOrder() throws {
    let pipe = Pipe()
    let (logger, log) = make(pipe.writer)
    for index in 0..<100 { log.info("record \(index)", ["i": .int(Int64(index))]) }
    logger.stop()
    let lines = try pipe.lines()
    #expect(lines.compactMap { $0["i"]?.int } == Array(0..<100))
    #expect(logger.written.value == 100)
  }

  @Test func filtersByLevelAndModule() throws {
    let pipe = Pipe()
    let settings = LogSettings(level: .warning, modules: ["loud": .debug, "quiet": .error])
    let (logger, log) = make(pipe.writer, settings)
    for module in ["loud", "quiet", "plain"] {
      let log = log.named(module)
      log.debug("debug")
      log.info("info")
      log.warning("warning")
      log.error("error")
    }
    logger.stop()
    let seen = try pipe.lines().map { "\($0["module"]!.string!) \($0["level"]!.string!)" }
    #expect(
      seen == [
        "loud debug", "loud info", "loud warning", "loud error", "quiet error", "plain warning",
        "plain error",
      ])
  }

  @Test func settingsChangeWhileItRuns() throws {
    let pipe = Pipe()
    let (logger, log) = make(pipe.writer)
    log.debug("before")
    logger.settings = LogSettings(level: .debug)
    log.debug("after")
    logger.stop()
    #expect(try pipe.lines().map { $0["message"]!.string! } == ["after"])
  }

  @Test func anAnnouncementIsAlwaysWrittenAsJSON() throws {
    let pipe = Pipe()
    let (logger, log) = make(pipe.writer, LogSettings(level: .error, format: .text))
    log.info("not shown")
    logger.announce("listening", module: "node", ["address": "127.0.0.1:1", "startup_ms": 5])
    #expect(logger.flush())
    logger.stop()
    let lines = try pipe.lines()
    #expect(lines.count == 1)
    #expect(lines[0]["message"]?.string == "listening")
    #expect(lines[0]["address"]?.string == "127.0.0.1:1")
    #expect(lines[0]["time"]?.string == StillClock.now.rfc3339)
  }

  /// The pipe holds 64 KiB and does not block; the lines are more, so writes are cut.
  @Test func partialWritesAreFinished() throws {
    let pipe = Pipe()
    pipe.setNonBlocking()
    let (logger, log) = make(pipe.writer)
    // Three pages a line: the sixth finds one of the pipe's sixteen free.
    let filler = String(repeating: "x", count: 10_001)
    for index in 0..<200 { log.info(filler, ["i": .int(Int64(index))]) }
    let collector = pipe.readInBackground()
    #expect(logger.flush())
    logger.stop()
    pipe.closeWriter()
    let lines = try Pipe.parse(collector.wait())
    #expect(lines.compactMap { $0["i"]?.int } == Array(0..<200))
  }

  @Test func nobodyReadsAndNobodyWaits() throws {
    let pipe = Pipe()
    let (logger, log) = make(pipe.writer)
    // The pipe takes some 200 of these, the ring 4,096.
    let filler = String(repeating: "x", count: 200)
    let count = LogRing.recordsMax * 2
    for index in 0..<count { log.info(filler, ["i": .int(Int64(index))]) }
    #expect(logger.ring.dropped.value > 0)
    let collector = pipe.readInBackground()
    #expect(logger.flush())
    logger.stop()
    pipe.closeWriter()
    let lines = try Pipe.parse(collector.wait())
    let told = lines.compactMap { $0["dropped"]?.int }.reduce(0, +)
    #expect(lines.filter { $0["i"] != nil }.count + Int(told) == count)
  }

  @Test func aClosedReaderIsCountedAndHarmless() {
    let pipe = Pipe()
    let (logger, log) = make(pipe.writer)
    pipe.closeReader()
    log.info("into the void")
    #expect(logger.flush())
    logger.stop()
    #expect(logger.failed.value == 1)
    #expect(logger.written.value == 0)
  }

  private func make(_ descriptor: Int32, _ settings: LogSettings = .init())
    -> (StructuredLogger, Logger)
  {
    let ring = LogRing()
    let clock = StillClock()
    return (
      StructuredLogger(ring: ring, descriptor: descriptor, clock: clock, settings: settings),
      Logger(module: "test", ring: ring, clock: clock)
    )
  }
}
