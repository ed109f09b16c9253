import Glibc

/// Why something of memory cannot be used; each says where and what to do.
package enum MemoryError: Error, Hashable, Sendable {
  /// A system call failed with `errno`.
  case system(call: String, path: String, errno: Int32)
  /// A file is not what it must be: weights, tokenizer or index.
  case malformed(path: String, reason: String)
  /// `memory.embedder` names something that this node cannot make.
  case embedderUnavailable(name: String, remedy: String)
  /// A pack's knowledge is over a limit of `KnowledgeLimits`.
  case knowledgeTooLarge(what: String, actual: Int, limit: Int)
  /// The vectors of a pack could not be put into its index.
  case indexRefused(reason: String)
}

extension MemoryError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .system(let call, let path, let errno):
      "\(call) \(path): \(String(cString: strerror(errno)))"
    case .malformed(let path, let reason): "\(path): \(reason)"
    case .embedderUnavailable(let name, let remedy): "embedder '\(name)': \(remedy)"
    case .knowledgeTooLarge(let what, let actual, let limit):
      "knowledge has \(actual) \(what), the limit is \(limit)"
    case .indexRefused(let reason): "the vector index refused a chunk: \(reason)"
    }
  }
}
