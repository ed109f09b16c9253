import Base
import LogBroker
import UringIO

/// Why a node did not start: one line for people, and the exit code for programs (SURFACE).
struct StartFailure: Error {
  var message: String
  var exitCode: ExitCode

  init(_ message: String, exitCode: ExitCode) {
    self.message = message
    self.exitCode = exitCode
  }

  init(_ failure: LogBrokerError) {
    self.init(failure.description, exitCode: ExitCode(rawValue: failure.exitCode) ?? .failed)
  }

  init(_ failure: RingFailure) { self.init(failure.description, exitCode: .ringForbidden) }

  var commandFailure: CommandFailure { CommandFailure(exitCode, message) }

  /// A listener that could not be bound.
  init(binding address: String, _ failure: IOFailure) {
    if failure.isAddressInUse {
      self.init(
        "the address \(address) is in use by another process; stop it, or choose another "
          + "http.listen", exitCode: .addressInUse)
    } else {
      self.init("cannot listen on \(address): \(failure)", exitCode: .failed)
    }
  }
}
