package import Base

/// What a server counts, for metrics.
package final class HTTPServerStatistics: Sendable {
  /// Connections accepted so far, and open now.
  package let connections = Counter()
  package let connectionsOpen = Gauge()
  package let requests = Counter()
  /// Answers by the first digit of their status.
  package let successes = Counter()
  package let redirections = Counter()
  package let clientErrors = Counter()
  package let serverErrors = Counter()
  /// Streams cut because their client was too slow.
  package let slowClients = Counter()

  package init() {}

  func count(status: Int) {
    switch status {
    case ..<300: successes.add()
    case ..<400: redirections.add()
    case ..<500: clientErrors.add()
    default: serverErrors.add()
    }
  }
}
