import Glibc

/// A system call or ring operation that failed.
package struct IOFailure: Error, Equatable, Sendable, CustomStringConvertible {
  /// The kernel's error number, positive.
  package let code: Int32
  /// What was attempted, as a verb: `connect`, `write`, `open` …
  package let operation: String
  /// The file or the peer it was attempted on; empty when there is none.
  package let subject: String

  package init(code: Int32, operation: String, subject: String = "") {
    self.code = code
    self.operation = operation
    self.subject = subject
  }

  /// The failure of the system call that has just returned an error on this thread.
  package static func last(_ operation: String, _ subject: String = "") -> IOFailure {
    IOFailure(code: errno, operation: operation, subject: subject)
  }

  /// No room on the device, over the quota, or over the file size limit: free space, then retry.
  package var isDiskFull: Bool { code == ENOSPC || code == EDQUOT || code == EFBIG }
  /// The process or the system has no descriptor left; closing some lets it work again.
  package var isDescriptorLimit: Bool { code == EMFILE || code == ENFILE }
  package var isTimeout: Bool { code == ETIMEDOUT }
  package var isCancelled: Bool { code == ECANCELED }
  package var isNotFound: Bool { code == ENOENT }
  package var isConnectionRefused: Bool { code == ECONNREFUSED }
  package var isAddressInUse: Bool { code == EADDRINUSE }

  /// One line: `connect 127.0.0.1:1: Connection refused`.
  package var description: String {
    let place = subject.isEmpty ? operation : "\(operation) \(subject)"
    return "\(place): \(errorText(code))"
  }
}

/// The system's words for an error number.
func errorText(_ code: Int32) -> String {
  var text = [CChar](repeating: 0, count: 128)
  // The XSI version: fills the buffer and returns a number. It fails only for a small buffer.
  guard strerror_r(code, &text, text.count) == 0 else { return "error \(code)" }
  return text.withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}
