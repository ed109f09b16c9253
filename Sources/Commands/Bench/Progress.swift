/// One line on a terminal that says how far long work is; nothing for what is done within a second,
/// and nothing into a pipe.
final class Progress: @unchecked Sendable {
  // Sendable because the working thread is the only one that reports, and the command waits for it.
  private let context: CommandContext
  private let what: String
  private let began = StopWatch()
  private var shownAt = 0.0

  /// Seconds before anything is shown, and between two updates.
  private static let patience = 1.0
  private static let interval = 0.2

  init(_ what: String, in context: CommandContext) {
    self.what = what
    self.context = context
  }

  func report(_ done: Int, of all: Int) {
    guard context.errors.isTerminal else { return }
    let now = began.wallSeconds
    guard now >= Self.patience, now - shownAt >= Self.interval else { return }
    shownAt = now
    context.errors.write("\r\(what): \(all == 0 ? 100 : done * 100 / all) % ")
    context.errors.flush()
  }

  /// Takes the line away.
  func end() {
    guard shownAt > 0 else { return }
    context.errors.write("\r\u{1B}[K")
    context.errors.flush()
  }
}
