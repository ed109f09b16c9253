import Base
import Configuration
import UringIO

/// Reads the configuration again on SIGHUP and when its file changes: reloadable keys are taken
/// into use, others are reported as needing a restart, and a file with errors changes nothing.
final class ConfigReloader {
  private var current: LoadedConfiguration
  private let read: () -> Result<LoadedConfiguration, ConfigFailure>
  private let logger: Logger
  private let apply: (LoadedConfiguration) -> Void
  private var watch: FileWatch?

  init(
    current: LoadedConfiguration, read: @escaping () -> Result<LoadedConfiguration, ConfigFailure>,
    logger: Logger, apply: @escaping (LoadedConfiguration) -> Void
  ) {
    self.current = current
    self.read = read
    self.logger = logger
    self.apply = apply
  }

  func watchFile(on loop: EventLoop) {
    guard let file = current.file else { return }
    watch = FileWatch(path: file, loop: loop) { [weak self] in
      self?.reload(reason: "file changed")
    }
    if watch == nil { logger.warning("configuration file not watched", ["file": .string(file)]) }
  }

  func reload(reason: String) {
    switch read() {
    case .failure(let failure):
      logger.error(
        "configuration not reloaded",
        ["reason": .string(reason), "errors": .string(failure.description)])
    case .success(let next):
      let change = ConfigChange(from: current, to: next)
      guard !change.isEmpty else { return }
      for key in change.needingRestart {
        logger.warning("changed key needs a restart", ["key": .string(key)])
      }
      guard !change.reloaded.isEmpty else { return }
      apply(next)
      current = next
      logger.info(
        "configuration reloaded",
        [
          "reason": .string(reason),
          "keys": .array(change.reloaded.map { .string($0) }),
        ])
    }
  }
}
