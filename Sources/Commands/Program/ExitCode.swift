/// How a command ends (docs/surface.md, "Exit codes").
package enum ExitCode: Int32, Sendable, CaseIterable {
  case ok = 0
  /// A check or an operation failed, or a request was refused.
  case failed = 1
  /// Wrong usage or configuration.
  case usage = 2
  case addressInUse = 3
  case dataLocked = 4
  /// Not writable, or the disk is full.
  case notWritable = 5
  case ringForbidden = 6
  /// Node, bus or provider cannot be reached, or the node answered 503.
  case unreachable = 7
  /// 401 or 403.
  case unauthorised = 8
  /// The turn failed or was cancelled.
  case turnFailed = 9
  case dataDamaged = 10
  case dataTooNew = 11
  case deadline = 12
  case interrupted = 130
}
