import Base
import Glibc
import Observability
import Testing

/// Contract: what is rendered is Prometheus text 0.0.4 with SURFACE's names; promtool, where it
/// is installed, is the judge.
@Suite struct MetricsCollectorTests {
  @Test func rendersEachKind() {
    let collector = MetricsCollector()
    let requests = collector.counter(
      MetricDescription("kfm_a_total", "Say \\ \"it\"\nso.", labels: ["path", "code"]))
    requests["/x\"\\\n", "200"].add(3)
    collector.gauge(MetricDescription("kfm_b", "B."))[].set(-4)
    collector.gauge(MetricDescription("kfm_c_seconds", "C.", labels: ["p"])) {
      [MetricSample(["0"], 0.25), MetricSample(["1"], .infinity)]
    }
    #expect(
      text(collector) == """
        # HELP kfm_a_total Say \\\\ "it"\\nso.
        # TYPE kfm_a_total counter
        kfm_a_total{path="/x\\"\\\\\\n",code="200"} 3
        # HELP kfm_b B.
        # TYPE kfm_b gauge
        kfm_b -4
        # HELP kfm_c_seconds C.
        # TYPE kfm_c_seconds gauge
        kfm_c_seconds{p="0"} 0.25
        kfm_c_seconds{p="1"} +Inf

        """)
  }

  @Test func histogramsAreCumulative() {
    let collector = MetricsCollector()
    let histogram = collector.histogram(MetricDescription("kfm_h_seconds", "H.", labels: ["k"]))
    for milliseconds in [1, 1, 20, 400_000] as [Int64] {
      histogram["x"].record(.milliseconds(milliseconds))
    }
    let lines = text(collector).split(separator: "\n")
    #expect(lines.contains(#"kfm_h_seconds_bucket{k="x",le="0.0005"} 0"#))
    #expect(lines.contains(#"kfm_h_seconds_bucket{k="x",le="0.001"} 2"#))
    #expect(lines.contains(#"kfm_h_seconds_bucket{k="x",le="0.025"} 3"#))
    #expect(lines.contains(#"kfm_h_seconds_bucket{k="x",le="300"} 3"#))
    #expect(lines.contains(#"kfm_h_seconds_bucket{k="x",le="+Inf"} 4"#))
    #expect(lines.contains(#"kfm_h_seconds_sum{k="x"} 400.022"#))
    #expect(lines.contains(#"kfm_h_seconds_count{k="x"} 4"#))
  }

  @Test func seriesAreBounded() {
    let collector = MetricsCollector()
    let series = collector.counter(MetricDescription("kfm_many_total", "M.", labels: ["id"]))
    let count = MetricLimits.seriesMax * 3
    for index in 0..<count { series["\(index)"].add() }
    let lines = text(collector).split(separator: "\n").filter { !$0.hasPrefix("#") }
    #expect(lines.count == MetricLimits.seriesMax + 1)
    #expect(lines.last == #"kfm_many_total{id="other"} \#(count - MetricLimits.seriesMax)"#)
  }

  @Test func theNodesMetricsHaveTheirNamesFromTheStart() {
    let text = text(nodeCollector())
    for line in [
      "# TYPE kfm_turns_total counter", #"kfm_turns_total{status="completed"} 0"#,
      #"kfm_turns_total{status="merged"} 0"#, "# TYPE kfm_turn_duration_seconds histogram",
      "# TYPE kfm_turn_overhead_seconds histogram", #"kfm_tokens_total{direction="cached"} 0"#,
      "# TYPE kfm_tool_runs_total counter", "# TYPE kfm_process_open_fds gauge",
      "# TYPE kfm_logger_records_dropped_total counter",
    ] {
      #expect(text.contains(line + "\n"), "\(line)")
    }
  }

  @Test func theProcessIsMeasured() {
    let now = ProcessMetrics.read()
    #expect(now.residentBytes > 1 << 20)
    #expect(now.virtualBytes >= now.residentBytes)
    #expect(now.descriptors >= 3)
    #expect(now.descriptors <= now.descriptorsMax)
    let pipes = (0..<8).map { _ in Pipe() }
    #expect(ProcessMetrics.read().descriptors >= now.descriptors)
    withExtendedLifetime(pipes) {}
  }

  /// Needs `promtool` of Debian's package `prometheus`.
  @Test(.enabled(if: Promtool.path != nil, "promtool is not installed"))
  func promtoolAgrees() throws {
    let collector = nodeCollector()
    collector.counter(MetricDescription("kfm_odd_total", "Odd\nhelp.", labels: ["x"]))["\"\\\n"]
      .add()
    let path = "/tmp/kfm-metrics-\(getpid()).txt"
    defer { unlink(path) }
    let file = fopen(path, "w")!
    _ = collector.render().withUnsafeBytes { fwrite($0.baseAddress, 1, $0.count, file) }
    fclose(file)
    #expect(system("\(Promtool.path!) check metrics < \(path)") == 0)
  }

  private func nodeCollector() -> MetricsCollector {
    let collector = MetricsCollector()
    let metrics = NodeMetrics(collector)
    metrics.turnDuration.record(.milliseconds(3))
    metrics.toolRuns["process", "completed"].add()
    let pipe = Pipe()
    let logger = StructuredLogger(ring: LogRing(), descriptor: pipe.writer, clock: StillClock())
    defer { logger.stop() }
    metrics.register(log: logger)
    ProcessMetrics.register(with: collector, started: StillClock.now)
    return collector
  }

  private func text(_ collector: MetricsCollector) -> String {
    String(decoding: collector.render(), as: UTF8.self)
  }
}

private enum Promtool {
  static let path: String? = ["/usr/bin/promtool", "/usr/local/bin/promtool"].first { path in
    access(path, X_OK) == 0
  }
}
