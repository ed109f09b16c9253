// Contract: a watched descriptor reports while its condition holds, an update changes what is
// reported from then on, and after cancel() nothing comes any more, whatever happens to the
// descriptor.
import Base
import Glibc
import TestSupport
import Testing
import UringIO

@Suite struct PollTests {
  @Test(arguments: IOKind.allCases) func readableIsReportedAsLongAsItHolds(io: IOKind) throws {
    try withPipe(io) { harness, pipe in
      var calls = 0
      let watch = harness.loop.poll(descriptor: pipe.reader, events: .readable) { events in
        #expect(events == .readable)
        calls += 1
        // Two bytes, one taken per call: an edge would report once.
        pipe.take()
      }
      pipe.put(2)
      #expect(harness.until { calls == 2 })
      harness.loop.runOnce()
      #expect(calls == 2)
      watch.cancel()
    }
  }

  @Test(arguments: IOKind.allCases) func updateChangesWhatIsReported(io: IOKind) throws {
    try withPipe(io) { harness, pipe in
      var seen: [PollEvents] = []
      let watch = harness.loop.poll(descriptor: pipe.writer, events: []) { seen.append($0) }
      for _ in 0..<5 { harness.loop.runOnce() }
      #expect(seen.isEmpty)
      watch.update(.writable)
      #expect(harness.until { !seen.isEmpty })
      #expect(seen.allSatisfy { $0 == .writable })
      watch.update(.readable)
      let count = seen.count
      for _ in 0..<5 { harness.loop.runOnce() }
      #expect(seen.count == count)
      watch.update(.writable)
      watch.update([])
      watch.update(.writable)
      #expect(harness.until { seen.count > count })
      watch.cancel()
    }
  }

  @Test(arguments: IOKind.allCases) func afterCancelNothingIsReported(io: IOKind) throws {
    try withPipe(io) { harness, pipe in
      // The event is on its way already when the registration is cancelled.
      var calls = 0
      let first = harness.loop.poll(descriptor: pipe.reader, events: .readable) { _ in calls += 1 }
      pipe.put(1)
      first.cancel()
      for _ in 0..<5 { harness.loop.runOnce() }
      #expect(calls == 0)
      // Cancelled by another callback of the same batch.
      var watches: [PollRegistration] = []
      for _ in 0..<2 {
        watches.append(
          harness.loop.poll(descriptor: pipe.reader, events: .readable) { _ in
            calls += 1
            for watch in watches { watch.cancel() }
          })
      }
      #expect(harness.until { calls > 0 })
      for _ in 0..<5 { harness.loop.runOnce() }
      #expect(calls == 1)
    }
  }

  /// Both are ready in the same turn, and the first callback gives the other's number to a pipe
  /// that is empty.
  @Test(arguments: IOKind.allCases) func anEventIsNotTakenForTheNextOwnerOfTheNumber(io: IOKind)
    throws
  {
    try withPipe(io) { harness, empty in
      let pipes = [TestPipe(), TestPipe()]
      var watches: [PollRegistration] = []
      var calls = 0
      for pipe in pipes {
        watches.append(
          harness.loop.poll(descriptor: pipe.reader, events: .readable) { _ in
            calls += 1
            for watch in watches { watch.cancel() }
            for pipe in pipes { #expect(dup2(empty.reader, pipe.reader) == pipe.reader) }
            watches = pipes.map { pipe in
              harness.loop.poll(descriptor: pipe.reader, events: .readable) { _ in
                Issue.record("an empty pipe is said to be readable")
              }
            }
          })
      }
      for pipe in pipes { pipe.put(1) }
      #expect(harness.until { calls > 0 })
      for _ in 0..<5 { harness.loop.runOnce() }
      #expect(calls == 1)
      for watch in watches { watch.cancel() }
    }
  }

  @Test(arguments: IOKind.allCases) func closingTheDescriptorAfterCancelIsSafe(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      for round in 0..<100 {
        let pipe = TestPipe()
        let watch = harness.loop.poll(descriptor: pipe.reader, events: .readable) { _ in
          Issue.record("reported after cancel")
        }
        if round % 2 == 0 { harness.loop.runOnce() }
        watch.cancel()
        pipe.close()
        // Takes the number of the closed descriptor.
        let next = TestPipe()
        next.put(1)
        harness.loop.runOnce()
        next.close()
      }
    }
  }

  @Test(arguments: IOKind.allCases) func aHangupIsReportedUnasked(io: IOKind) throws {
    try withPipe(io) { harness, pipe in
      var seen: PollEvents = []
      let watch = harness.loop.poll(descriptor: pipe.reader, events: .readable) {
        seen.formUnion($0)
      }
      pipe.closeWriter()
      #expect(harness.until { seen.contains(.hangup) })
      watch.cancel()
    }
  }

  @Test(arguments: IOKind.allCases) func aDescriptorThatIsNoneEndsWithOneError(io: IOKind) throws {
    try LoopHarness.run(io) { harness in
      var seen: [PollEvents] = []
      let watch = harness.loop.poll(descriptor: 999_999, events: .readable) { seen.append($0) }
      #expect(harness.until { !seen.isEmpty })
      for _ in 0..<5 { harness.loop.runOnce() }
      #expect(seen == [.error])
      watch.cancel()
    }
  }

  private func withPipe(_ io: IOKind, _ body: (LoopHarness, TestPipe) throws -> Void) throws {
    try LoopHarness.run(io) { harness in
      let pipe = TestPipe()
      try body(harness, pipe)
      pipe.close()
    }
  }
}

private final class TestPipe {
  let reader: Int32
  let writer: Int32
  private var isWriterOpen = true

  init() {
    var ends: [Int32] = [-1, -1]
    #expect(pipe(&ends) == 0)
    reader = ends[0]
    writer = ends[1]
  }

  func put(_ count: Int) { #expect(write(writer, [1, 2, 3], count) == count) }

  func take() {
    var byte: UInt8 = 0
    #expect(read(reader, &byte, 1) == 1)
  }

  func closeWriter() {
    isWriterOpen = false
    _ = Glibc.close(writer)
  }

  func close() {
    _ = Glibc.close(reader)
    if isWriterOpen { closeWriter() }
  }
}
