// Contract: a consumer that takes ten messages a second beside twenty thousand that are appended
// costs no memory, and another one at the end gets every message, in order.
// (The slice in the tests runs for a second and asserts counts; `make prove` a minute.)

import Base
import Events
import Glibc
import LogBroker
import TestSupport
import Testing
import UringIO

@Suite struct SlowConsumerTests {
  private static let target = TopicPartition(.journal, 1)
  /// Appended every `interval`: 20,000 a second.
  private static let burst = 100
  private static let interval = Nanoseconds.milliseconds(5)

  /// Resident bytes of this process.
  private static var resident: Int {
    var text = [UInt8](repeating: 0, count: 128)
    let descriptor = Glibc.open("/proc/self/statm", O_RDONLY)
    defer { Glibc.close(descriptor) }
    let count = Glibc.read(descriptor, &text, text.count)
    let fields = String(decoding: text.prefix(max(0, count)), as: UTF8.self).split(separator: " ")
    return (Int(fields[1]) ?? 0) * Int(getpagesize())
  }

  /// Two consumers and a producer on one loop.
  private final class Scene {
    let bus: EmbeddedBus
    let loop: EventLoop
    var appended = 0
    var acknowledged = 0
    var slowNext: UInt64 = 0
    var slowTaken = 0
    /// What the slow consumer has in its hands.
    var held: PollResult?
    var fastNext: UInt64 = 0
    var isPolling = false
    var disorder = 0
    var latencies: [Int64] = []
    var isStopping = false

    init(_ bus: EmbeddedBus, _ loop: EventLoop) {
      self.bus = bus
      self.loop = loop
    }

    func produce() {
      guard !isStopping else { return }
      loop.schedule(after: SlowConsumerTests.interval) { [self] in produce() }
      let records = (0..<SlowConsumerTests.burst).map {
        BusFixtures.record(appended + $0, bytes: 200)
      }
      appended += records.count
      bus.append([PartitionBatch(SlowConsumerTests.target, records)]) { [self] in
        if case .success = $0 { acknowledged += records.count }
      }
    }

    func takeSlowly() {
      guard !isStopping else { return }
      loop.schedule(after: .milliseconds(100)) { [self] in takeSlowly() }
      let request = PollRequest(
        SlowConsumerTests.target, from: .offset(slowNext), countMax: 1, bytesMax: 1)
      bus.poll(request) { [self] in
        guard case .success(let result) = $0, let record = result.records.first else { return }
        if record.offset != slowNext { disorder += 1 }
        held = result
        slowNext += 1
        slowTaken += 1
      }
    }

    func takeAtOnce() {
      guard !isPolling else { return }
      isPolling = true
      let request = PollRequest(
        SlowConsumerTests.target, from: .offset(fastNext), countMax: 1_000, bytesMax: 1 << 20)
      bus.poll(request) { [self] in
        isPolling = false
        guard case .success(let result) = $0, !result.records.isEmpty else { return }
        let now = loop.clock.wall().microseconds
        for record in result.records {
          if record.offset != fastNext { disorder += 1 }
          fastNext = record.offset + 1
        }
        latencies.append(now - result.records[0].appendTime.microseconds)
        takeAtOnce()
      }
    }
  }

  @Test func itCostsNothing() throws {
    let seconds = Int64(ProofScale.count(1, whole: 60))
    let directory = try TemporaryDirectory()
    try LoopHarness.run { harness in
      let loop = harness.loop
      let options = EmbeddedBusOptions(
        storage: RingStorage(root: directory.path, loop: loop), loop: loop,
        logger: BusFixtures.logger(), dataDirectory: directory.path)
      let scene = Scene(try EmbeddedBus.open(options), loop)
      let watch = scene.bus.watch(Self.target) { scene.takeAtOnce() }
      scene.produce()
      scene.takeSlowly()
      // What a start takes for itself is no growth.
      let warm = Int64(20_000 * min(2, seconds) / 4)
      #expect(harness.until { scene.acknowledged >= Int(warm) })
      let before = Self.resident
      _ = harness.until(deadline: .seconds(seconds)) { false }
      let growth = Self.resident - before
      scene.isStopping = true
      #expect(
        harness.until {
          scene.acknowledged == scene.appended && scene.fastNext == UInt64(scene.appended)
        })
      watch.cancel()
      #expect(scene.disorder == 0 && scene.slowTaken > 0)
      let latencies = scene.latencies.sorted()
      print("slow_consumer_healthy_p99_us \(latencies[latencies.count * 99 / 100]) reported pass")
      ProofScale.row("slow_consumer_taken", scene.slowTaken, ">0", scene.slowTaken > 0)
      ProofScale.row(
        "slow_consumer_rate", scene.appended / Int(seconds), ">=15000",
        scene.appended / Int(seconds) >= 15_000)
      ProofScale.row(
        "slow_consumer_rss_growth_bytes", growth, "<=16777216", growth <= 16 << 20)
      // In the slice other tests share the process.
      if ProofScale.isWhole { #expect(growth <= 16 << 20) }
      var isClosed = false
      scene.bus.close { isClosed = true }
      #expect(harness.until { isClosed })
    }
  }
}
