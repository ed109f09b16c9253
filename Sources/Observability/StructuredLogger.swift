package import Base
import Glibc
import Synchronization

/// What `[log]` sets; may change while the node runs.
package struct LogSettings: Sendable, Hashable {
  package enum Format: String, Sendable { case json, text }

  package var level: LogLevel
  package var format: Format
  /// Levels of single modules, above or below `level`.
  package var modules: [String: LogLevel]

  package init(
    level: LogLevel = .info, format: Format = .json, modules: [String: LogLevel] = [:]
  ) {
    self.level = level
    self.format = format
    self.modules = modules
  }

  /// The lowest level that any module is logged at: what the ring must let in.
  var lowest: LogLevel { modules.values.reduce(level, min) }

  func admits(_ record: LogRecord) -> Bool {
    record.level >= modules[record.module, default: level]
  }
}

/// Writes a `LogRing` to a descriptor, one line a record, from a thread of its own: a reader of
/// the log that is slow or stopped holds up that thread, never the loop. What the ring cannot hold
/// meanwhile is dropped, counted, and reported in the next line that gets out.
package final class StructuredLogger: Sendable {
  /// How long `stop` waits for a reader that takes nothing: then a stuck pipe must not keep the
  /// process alive.
  package static let flushTimeout = Nanoseconds.seconds(2)

  /// Lines that could not be written, because the descriptor is closed or its reader is gone.
  package let failed = Counter()
  /// Lines written.
  package let written = Counter()
  package let ring: LogRing

  private let descriptor: Int32
  private let clock: any Clock
  private let state: Mutex<State>
  private let wakeUp = Semaphore()
  private let ended = Semaphore()

  private struct State {
    var settings: LogSettings
    /// Lines that are always written, as they are.
    var announcements: [[UInt8]] = []
    var flushes: [Semaphore] = []
    var stopping = false
    var droppedReported = 0
  }

  /// Starts the writer. `descriptor` stays the caller's and must outlive `stop`.
  package init(ring: LogRing, descriptor: Int32, clock: any Clock, settings: LogSettings = .init())
  {
    self.ring = ring
    self.descriptor = descriptor
    self.clock = clock
    state = Mutex(State(settings: settings))
    ring.level = settings.lowest
    let wakeUp = wakeUp
    ring.onRecords { wakeUp.signal() }
    startThread { self.run() }
    // Records pushed before the ring had a reader woke nobody.
    wakeUp.signal()
  }

  package var settings: LogSettings {
    get { state.withLock { $0.settings } }
    set {
      state.withLock { $0.settings = newValue }
      ring.level = newValue.lowest
    }
  }

  /// Writes a record whatever the level, and as JSON whatever the format: for the records that
  /// programs wait for (`listening`).
  package func announce(_ message: String, module: String, _ fields: JSONObject) {
    let line = LogLine.json(
      time: clock.wall(), level: "info", module: module, message: message, traceID: nil,
      fields: fields)
    state.withLock { $0.announcements.append(line) }
    wakeUp.signal()
  }

  /// Waits until everything logged so far is written, at most `flushTimeout`; false when it was
  /// not. Blocks: for the end of a program and for tests, not for the loop.
  @discardableResult
  package func flush() -> Bool {
    let done = Semaphore()
    state.withLock { $0.flushes.append(done) }
    wakeUp.signal()
    return done.wait(timeout: Self.flushTimeout)
  }

  /// Writes what is left and ends the thread; nothing is written afterwards.
  package func stop() {
    state.withLock { $0.stopping = true }
    wakeUp.signal()
    _ = ended.wait(timeout: Self.flushTimeout)
  }

  // MARK: The writer's thread

  private func run() {
    while true {
      wakeUp.wait()
      let (announcements, settings, flushes, stopping) = state.withLock { state in
        defer {
          state.announcements = []
          state.flushes = []
        }
        return (state.announcements, state.settings, state.flushes, state.stopping)
      }
      for record in ring.drain() where settings.admits(record) {
        write(settings.format == .json ? LogLine.json(record) : LogLine.text(record))
      }
      announcements.forEach(write)
      reportDropped(settings)
      flushes.forEach { $0.signal() }
      if stopping {
        ended.signal()
        return
      }
    }
  }

  private func reportDropped(_ settings: LogSettings) {
    let dropped = ring.dropped.value
    let news = state.withLock { state in
      defer { state.droppedReported = dropped }
      return dropped - state.droppedReported
    }
    guard news > 0 else { return }
    write(
      LogLine.json(
        time: clock.wall(), level: "warning", module: "log",
        message: "log records were dropped: the reader of the log is too slow", traceID: nil,
        fields: ["dropped": .int(Int64(news))]))
  }

  /// Writes the whole line or counts it as failed. A descriptor that does not block is waited for.
  private func write(_ line: [UInt8]) {
    var done = 0
    while done < line.count {
      let count = line.withUnsafeBytes { bytes in
        Glibc.write(descriptor, bytes.baseAddress! + done, bytes.count - done)
      }
      if count > 0 {
        done += count
      } else if errno == EAGAIN {
        var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = Glibc.poll(&poll, 1, -1)
      } else if errno != EINTR {
        failed.add()
        return
      }
    }
    written.add()
  }
}
