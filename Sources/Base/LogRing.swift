import Synchronization

package enum LogLevel: Int, Sendable, Comparable, CaseIterable {
  case debug, info, warning, error

  package init?(name: String) {
    guard let level = Self.allCases.first(where: { "\($0)" == name }) else { return nil }
    self = level
  }

  package static func < (left: LogLevel, right: LogLevel) -> Bool { left.rawValue < right.rawValue }
}

/// One line of the log, before it is written.
package struct LogRecord: Sendable {
  package var time: Timestamp
  package var level: LogLevel
  package var module: String
  package var message: String
  package var traceID: String?
  package var fields: JSONObject
}

/// A bounded ring of log records: any thread pushes, one writer (Observability) drains. When the
/// writer cannot keep up the oldest records go, counted in `dropped`; logging never waits.
package final class LogRing: Sendable {
  /// Records that wait at most: at 200 bytes a line, under 1 MiB.
  package static let recordsMax = 4_096

  private struct State {
    var records: [LogRecord] = []
    var wake: (@Sendable () -> Void)?
  }
  private let state = Mutex(State())
  private let minimum = Atomic<Int>(LogLevel.info.rawValue)
  package let dropped = Counter()

  package init() {}

  package var level: LogLevel {
    get { LogLevel(rawValue: minimum.load(ordering: .relaxed)) ?? .info }
    set { minimum.store(newValue.rawValue, ordering: .relaxed) }
  }

  /// `wake` is called, on the pushing thread, when the ring stops being empty.
  package func onRecords(_ wake: @escaping @Sendable () -> Void) {
    state.withLock { $0.wake = wake }
  }

  package func push(_ record: LogRecord) {
    let wake = state.withLock { state -> (@Sendable () -> Void)? in
      if state.records.count >= Self.recordsMax {
        state.records.removeFirst(Self.recordsMax / 2)
        dropped.add(Self.recordsMax / 2)
      }
      state.records.append(record)
      return state.records.count == 1 ? state.wake : nil
    }
    wake?()
  }

  package func drain() -> [LogRecord] {
    state.withLock { state in
      defer { state.records = [] }
      return state.records
    }
  }
}

/// How a module logs: its name is bound, the ring and the clock are handed in.
package struct Logger: Sendable {
  package let module: String
  package let ring: LogRing
  private let clock: any Clock

  package init(module: String, ring: LogRing, clock: any Clock) {
    self.module = module
    self.ring = ring
    self.clock = clock
  }

  package func named(_ module: String) -> Logger {
    Logger(module: module, ring: ring, clock: clock)
  }

  package func debug(
    _ message: String, trace: String? = nil, _ fields: @autoclosure () -> JSONObject = [:]
  ) { log(.debug, message, trace, fields) }

  package func info(
    _ message: String, trace: String? = nil, _ fields: @autoclosure () -> JSONObject = [:]
  ) { log(.info, message, trace, fields) }

  package func warning(
    _ message: String, trace: String? = nil, _ fields: @autoclosure () -> JSONObject = [:]
  ) { log(.warning, message, trace, fields) }

  package func error(
    _ message: String, trace: String? = nil, _ fields: @autoclosure () -> JSONObject = [:]
  ) { log(.error, message, trace, fields) }

  private func log(
    _ level: LogLevel, _ message: String, _ trace: String?, _ fields: () -> JSONObject
  ) {
    guard level >= ring.level else { return }
    ring.push(
      LogRecord(
        time: clock.wall(), level: level, module: module, message: message, traceID: trace,
        fields: fields()))
  }
}
