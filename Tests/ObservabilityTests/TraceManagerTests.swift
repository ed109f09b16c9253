import Base
import Observability
import Testing

/// Contract: a valid `traceparent` is taken over, anything else starts a new trace (W3C Trace
/// Context section 3.2).
@Suite struct TraceManagerTests {
  private let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
  private var good: String { "00-\(trace)-00f067aa0ba902b7-01" }

  @Test func readsAHeader() {
    let context = TraceContext(traceparent: good)
    #expect(
      context == TraceContext(traceID: trace, parentSpanID: "00f067aa0ba902b7", isSampled: true))
    #expect(TraceContext(traceparent: "00-\(trace)-00f067aa0ba902b7-00")?.isSampled == false)
    #expect(
      TraceContext(traceparent: "cc-\(trace)-00f067aa0ba902b7-01-what=ever")?.traceID == trace)
  }

  @Test func everyTruncationIsInvalid() {
    for length in 0..<good.count { #expect(TraceContext(traceparent: good.prefix(length)) == nil) }
    #expect(TraceContext(traceparent: good + "-") == nil)
    #expect(TraceContext(traceparent: "cc" + good.dropFirst(2) + "x") == nil)
  }

  /// One wrong byte, at each place.
  @Test func everyWrongByteIsInvalid() {
    for index in good.indices {
      for wrong in ["g", "F", " ", "\u{0}", "é"] {
        var text = good
        text.replaceSubrange(index...index, with: wrong)
        #expect(TraceContext(traceparent: text) == nil, "\(text)")
      }
    }
  }

  @Test func zeroIDsAndVersionFFAreInvalid() {
    let zero = String(repeating: "0", count: 32)
    #expect(TraceContext(traceparent: "00-\(zero)-00f067aa0ba902b7-01") == nil)
    #expect(TraceContext(traceparent: "00-\(trace)-0000000000000000-01") == nil)
    #expect(TraceContext(traceparent: "ff-\(trace)-00f067aa0ba902b7-01") == nil)
  }

  @Test func makesTracesOfItsOwn() {
    let manager = TraceManager(random: SeededRandom(seed: 1))
    let made = (0..<1_000).map { _ in manager.context(traceparent: "nonsense").traceID }
    #expect(Set(made).count == 1_000)
    for id in made {
      #expect(TraceContext(traceparent: "00-\(id)-00f067aa0ba902b7-01")?.traceID == id)
    }
    #expect(manager.context(traceparent: good).traceID == trace)
  }

  @Test func writesAHeaderThatItReads() {
    let manager = TraceManager(random: SeededRandom(seed: 2))
    for sampled in [true, false] {
      let header = manager.traceparent(of: TraceContext(traceID: trace, isSampled: sampled))
      #expect(TraceContext(traceparent: header)?.traceID == trace)
      #expect(TraceContext(traceparent: header)?.isSampled == sampled)
    }
  }
}
