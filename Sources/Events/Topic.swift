package import Base

/// The catalog on the bus (SURFACE): every topic the node knows, in the order of its handles.
package enum Topic: Int, Sendable, CaseIterable {
  case turnsRequests, control, journal, plans, stepsRequests, stepsResults, turnsResponses
  case calls, sessions, stepsWork, blobs, memory, knowledge, audit, deadLetters
  case lifecycleEvents, systemNotifications
  case latency, tokenUsage, costs
  case logsInfo, logsWarning, logsError
  /// Of `kfm bench append` alone: in no node's catalog.
  case bench

  /// The topics of a node.
  package static let allCases = (0..<Topic.bench.rawValue).compactMap { Topic(rawValue: $0) }

  /// Those that a data directory may have besides.
  package static let everyCase = allCases + [.bench]

  package var stream: String {
    switch self {
    case .lifecycleEvents, .systemNotifications: "events"
    case .latency, .tokenUsage, .costs: "metrics"
    case .logsInfo, .logsWarning, .logsError: "logs"
    case .bench: "bench"
    default: "agent"
    }
  }

  /// The name on the wire.
  package var name: String {
    switch self {
    case .turnsRequests: "agent.turns.requests"
    case .control: "agent.control"
    case .journal: "agent.journal"
    case .plans: "agent.plans"
    case .stepsRequests: "agent.steps.requests"
    case .stepsResults: "agent.steps.results"
    case .turnsResponses: "agent.turns.responses"
    case .calls: "agent.calls"
    case .sessions: "agent.sessions"
    case .stepsWork: "agent.steps.work"
    case .blobs: "agent.blobs"
    case .memory: "agent.memory"
    case .knowledge: "agent.knowledge"
    case .audit: "agent.audit"
    case .deadLetters: "agent.dlq"
    case .lifecycleEvents: "lifecycle-events"
    case .systemNotifications: "system-notifications"
    case .latency: "latency"
    case .tokenUsage: "token-usage"
    case .costs: "costs"
    case .logsInfo: "info"
    case .logsWarning: "warning"
    case .logsError: "error"
    case .bench: "bench"
    }
  }

  /// Whether records are placed by session (SEMANTICS D2); such topics share one partition count.
  package var isSessionKeyed: Bool {
    switch self {
    case .turnsRequests, .control, .journal, .plans, .stepsRequests, .stepsResults,
      .turnsResponses, .calls, .sessions, .deadLetters:
      true
    default: false
    }
  }

  /// How long records are kept at least; zero is for ever (SEMANTICS D37).
  package var retention: Nanoseconds {
    switch self {
    case .calls: .seconds(30 * 86_400)
    case .deadLetters: .seconds(90 * 86_400)
    case .lifecycleEvents, .systemNotifications, .latency, .tokenUsage, .costs, .logsInfo,
      .logsWarning, .logsError:
      .seconds(30 * 86_400)
    default: .zero
    }
  }

  /// Finds a topic by `stream/topic`, or by its name alone within streams `agent` and `bench`.
  package init?(path: String) {
    guard
      let topic = Self.everyCase.first(where: {
        "\($0.stream)/\($0.name)" == path || ($0.hasShortName && $0.name == path)
      })
    else { return nil }
    self = topic
  }

  /// Whether people may leave its stream out.
  package var hasShortName: Bool { stream == "agent" || self == .bench }
}

/// Which partition a session's records are in (SEMANTICS D2).
package func partition(ofSession sessionID: String, count: Int) -> Int {
  Int(xxh32(sessionID)) & (count - 1)
}
