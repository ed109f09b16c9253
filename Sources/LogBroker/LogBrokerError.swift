/// Why a log does not open. Each names the place and what to do about it.
package enum LogBrokerError: Error, Sendable, Hashable, CustomStringConvertible {
  /// Another process has the data directory.
  case locked(path: String)
  /// The data directory cannot be made or written.
  case notWritable(path: String, reason: String)
  case diskFull(path: String)
  /// Written by a later release.
  case formatTooNew(file: String, version: Int, supported: Int)
  /// SEMANTICS D2: the count is fixed when the catalog is created.
  case partitionCountDiffers(configured: Int, stored: Int)
  /// What no crash leaves behind: a file is gone, or its content is not what was written.
  case damaged(file: String, reason: String)
  /// All partitions are enciphered with another key than was given.
  case wrongKey(needed: String, given: String?)
  case failed(String)

  /// The exit code a program ends with for it (SURFACE).
  package var exitCode: Int32 {
    switch self {
    case .locked: 4
    case .notWritable, .diskFull: 5
    case .formatTooNew: 11
    case .partitionCountDiffers, .wrongKey: 2
    case .damaged: 10
    case .failed: 1
    }
  }

  package var description: String {
    switch self {
    case .locked(let path):
      "the data directory \(path) is in use by another process; stop it, or choose another data_dir"
    case .notWritable(let path, let reason):
      "the data directory \(path) is not writable (\(reason)); check its owner and permissions"
    case .diskFull(let path):
      "no space left for the data directory \(path); free some and start again"
    case .formatTooNew(let file, let version, let supported):
      "\(file) has format version \(version), this release reads up to \(supported); "
        + "use a later release"
    case .partitionCountDiffers(let configured, let stored):
      "bus.partitions is \(configured), but this data directory was created with \(stored); "
        + "set it to \(stored)"
    case .damaged(let file, let reason):
      "\(file) is damaged: \(reason); restore it from a backup"
        + (file.hasPrefix("log/journal") ? ", or keep what is whole with `kfm log repair`" : "")
    case .wrongKey(let needed, let given):
      "the log's partitions are encrypted with key \(needed)"
        + (given.map { ", and key \($0) was given" } ?? "")
        + "; set bus.encryption_key to the key the log was written with"
    case .failed(let reason): reason
    }
  }
}
