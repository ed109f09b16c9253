// Contract: beside a consumer that takes ten messages a second another one at the end gets every
// message that is appended, in order, and the slow one gets its own, in order.
// (What that costs `kfm bench slow-consumer` says, in a process of its own; `make prove` runs it.)

import Base
import Events
import LogBroker
import TestSupport
import Testing
import UringIO

@Suite struct SlowConsumerTests {
  private static let target = TopicPartition(.journal, 1)
  /// Appended every `interval`: 20,000 a second.
  private static let burst = 100
  private static let interval = Nanoseconds.milliseconds(5)

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
        for record in result.records {
          if record.offset != fastNext { disorder += 1 }
          fastNext = record.offset + 1
        }
        takeAtOnce()
      }
    }
  }

  @Test func bothGetTheirs() throws {
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
      #expect(
        harness.until(deadline: .seconds(60)) {
          scene.acknowledged >= 5_000 && scene.slowTaken >= 3
        })
      scene.isStopping = true
      #expect(
        harness.until(deadline: .seconds(60)) {
          scene.acknowledged == scene.appended && scene.fastNext == UInt64(scene.appended)
        })
      watch.cancel()
      #expect(scene.disorder == 0)
      var isClosed = false
      scene.bus.close { isClosed = true }
      #expect(harness.until { isClosed })
    }
  }
}
