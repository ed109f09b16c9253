// Contract: a partition that holds little takes little room on the disk, however large a segment may
// become; one that fills segments gets the next one's room at once; and where the room cannot be had,
// what was given of it goes back, and what fits is written. (That a file system keeps part of a
// request that it refused is played by the test.)

import Base
import Events
import LogBroker
import Testing

@Suite struct SegmentRoomTests {
  private static let target = TopicPartition(.journal, 1)

  private func path(_ base: Int) -> String {
    let digits = String(base)
    return
      "log/agent/agent.journal/1/\(String(repeating: "0", count: 20 - digits.count))\(digits).log"
  }

  private func open(_ disk: SimulatedDisk, _ loop: SimulatedLoop) throws -> EmbeddedBus {
    try EmbeddedBus.open(BusFixtures.directOptions(disk, loop, segmentBlocks: 32))
  }

  private func append(_ bus: EmbeddedBus, _ number: Int, _ loop: SimulatedLoop) -> Bool {
    var isTaken = false
    bus.append([PartitionBatch(Self.target, [BusFixtures.record(number, bytes: 3_000)])]) {
      if case .success = $0 { isTaken = true }
    }
    loop.settle()
    return isTaken
  }

  @Test func roomGrowsWithWhatIsHeld() throws {
    let loop = SimulatedLoop(seed: 1)
    let disk = SimulatedDisk(loop: loop, seed: 1)
    let bus = try open(disk, loop)
    for number in 0..<32 {
      #expect(append(bus, number, loop))
      let blocks = disk.content(of: path(0)).count / LogLimits.blockBytes
      #expect(blocks > number && blocks <= min(4 * (number + 1), 32), "\(blocks) for \(number + 1)")
    }
    #expect(append(bus, 32, loop))
    #expect(disk.content(of: path(32)).count == 32 * LogLimits.blockBytes)
  }

  @Test func whatWasGivenOfRefusedRoomGoesBack() throws {
    let loop = SimulatedLoop(seed: 1)
    let disk = SimulatedDisk(loop: loop, seed: 1)
    let bus = try open(disk, loop)
    disk.roomRefused = 2 * LogLimits.blockBytes
    #expect(append(bus, 0, loop))
    #expect(disk.content(of: path(0)).count == LogLimits.blockBytes)
  }
}
