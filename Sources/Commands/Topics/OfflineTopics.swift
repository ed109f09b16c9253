import Base
import Events

/// The data directory as `--offline` shows it.
struct OfflineTopics {
  static func open<Value>(
    _ context: CommandContext, config: String?, _ body: (OfflineTopics) -> Value
  ) throws(CommandFailure) -> Value {
    throw CommandFailure(.usage, "wip")
  }
  func topics() -> [JSON] { [] }
  func tail(
    _ topic: Topic, from start: TailStart, count: Int?, _ take: (UnsafeRawBufferPointer) -> Void
  ) {}
}
