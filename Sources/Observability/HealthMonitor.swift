package import Base

package enum HealthStatus: Int, Sendable, Comparable {
  case ok, warn, fail

  package static func < (left: HealthStatus, right: HealthStatus) -> Bool {
    left.rawValue < right.rawValue
  }

  package var name: String {
    switch self {
    case .ok: "ok"
    case .warn: "warn"
    case .fail: "fail"
    }
  }
}

package struct HealthCheck: Sendable, Hashable {
  package var name: String
  package var status: HealthStatus
  /// What is wrong and what to do; nil when all is well.
  package var detail: String?

  package init(_ name: String, _ status: HealthStatus, _ detail: String? = nil) {
    self.name = name
    self.status = status
    self.detail = detail
  }
}

package struct HealthReport: Sendable {
  /// The worst of the checks.
  package var status: HealthStatus
  package var checks: [HealthCheck]

  /// `{status, checks{name: {status, detail?}}}` (SURFACE).
  package var json: JSON {
    var rows = JSONObject()
    for check in checks {
      var row: JSONObject = ["status": .string(check.status.name)]
      if let detail = check.detail { row["detail"] = .string(detail) }
      rows[check.name] = .object(row)
    }
    return ["status": .string(status.name), "checks": .object(rows)]
  }
}

/// Whether the node can take turns: the worst of what its parts say of themselves. Parts answer
/// from what they know already; a check that goes out to look would make a probe wait.
package final class HealthMonitor {
  /// The check that fails while the node drains.
  package static let drainCheck = "drain"

  private var sources: [() -> [HealthCheck]] = []
  package private(set) var isDraining = false

  package init() {}

  /// Adds a part; it is asked at every report, and may have a varying number of checks.
  package func register(_ source: @escaping () -> [HealthCheck]) { sources.append(source) }

  /// From now on the node is not ready. There is no way back: the process ends.
  package func beginDrain() { isDraining = true }

  package func report() -> HealthReport {
    var checks = sources.flatMap { $0() }
    if isDraining {
      checks.append(HealthCheck(Self.drainCheck, .fail, "the node is shutting down"))
    }
    return HealthReport(status: checks.map(\.status).max() ?? .ok, checks: checks)
  }
}
