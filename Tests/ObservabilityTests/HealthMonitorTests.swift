import Base
import Observability
import Testing

/// Contract: ready is the worst of all checks, and fails while the node drains (SURFACE).
@Suite struct HealthMonitorTests {
  /// Every pair of states.
  @Test func theWorstCounts() {
    let all: [HealthStatus] = [.ok, .warn, .fail]
    for left in all {
      for right in all {
        let monitor = HealthMonitor()
        monitor.register { [HealthCheck("a", left)] }
        monitor.register { [HealthCheck("b", right, "why")] }
        #expect(monitor.report().status == max(left, right))
      }
    }
  }

  @Test func aNodeWithoutChecksIsReady() { #expect(HealthMonitor().report().status == .ok) }

  @Test func drainingFails() {
    let monitor = HealthMonitor()
    monitor.register { [HealthCheck("a", .ok)] }
    monitor.beginDrain()
    #expect(monitor.report().status == .fail)
    #expect(monitor.report().checks.map(\.name) == ["a", "drain"])
  }

  @Test func checksAreAskedEveryTime() {
    let monitor = HealthMonitor()
    var status = HealthStatus.fail
    monitor.register { [HealthCheck("a", status)] }
    #expect(monitor.report().status == .fail)
    status = .ok
    #expect(monitor.report().status == .ok)
  }

  @Test func writesTheShapeOfTheSurface() {
    let monitor = HealthMonitor()
    monitor.register { [HealthCheck("bus", .ok), HealthCheck("provider.x", .warn, "refused")] }
    #expect(
      monitor.report().json.text
        == #"{"status":"warn","checks":{"bus":{"status":"ok"},"#
        + #""provider.x":{"status":"warn","detail":"refused"}}}"#)
  }
}
