import COpenSSL

/// Why a connection could not be secured, or is secure no longer.
package struct TLSFailure: Error, Equatable, Sendable, CustomStringConvertible {
  package enum Cause: String, Sendable {
    /// The certificate file cannot be read, or is none.
    case certificateFile
    case keyFile
    /// The key is not the certificate's.
    case keyMismatch
    case trustFile
    case protocolNames
    /// The peer's certificate is not trusted, or is for another name.
    case certificateRefused
    /// The handshake did not come to its end in time.
    case timeout
    /// The peer's end came without its close_notify: what came may not be all.
    case truncated
    /// The peer spoke no TLS, another version, or broke off with an alert.
    case broken
    /// No memory for a session, or a name that none can be made for.
    case unavailable
  }

  package let cause: Cause
  /// One line with the place and, where there is one, the remedy.
  package let description: String

  static let textBytesMax = 256

  init(_ cause: Cause, _ description: String) {
    self.cause = cause
    self.description = description
  }

  static func context(
    _ step: kfm_tls_step, _ text: String, _ certificate: String, _ key: String
  ) -> TLSFailure {
    switch step {
    case KFM_TLS_STEP_CERTIFICATE:
      TLSFailure(
        .certificateFile,
        "tls certificate \(certificate): \(text); give a readable PEM file, the server's own "
          + "certificate first")
    case KFM_TLS_STEP_KEY:
      TLSFailure(
        .keyFile, "tls key \(key): \(text); give a readable PEM file without a passphrase")
    case KFM_TLS_STEP_MATCH:
      TLSFailure(
        .keyMismatch,
        "tls key \(key) is not the key of certificate \(certificate); give files that belong "
          + "together")
    case KFM_TLS_STEP_TRUST:
      TLSFailure(
        .trustFile, "tls roots \(certificate): \(text); give a PEM file of root certificates")
    default: TLSFailure(.unavailable, "tls: \(text)")
    }
  }

  static func protocols(_ names: [String]) -> TLSFailure {
    TLSFailure(
      .protocolNames,
      "tls protocols \(names.joined(separator: ", ")): expected names of 1 to 255 bytes, 255 "
        + "bytes together")
  }

  /// What a session that failed says.
  static func session(_ tls: OpaquePointer, host: String?) -> TLSFailure {
    var isCertificate: Int32 = 0
    var text = [CChar](repeating: 0, count: textBytesMax)
    kfm_tls_failure(tls, &isCertificate, &text, text.count)
    let words = String(nulTerminated: text)
    guard isCertificate != 0 else { return TLSFailure(.broken, "tls: \(words)") }
    return TLSFailure(
      .certificateRefused,
      "tls: the certificate of \(host ?? "the peer") is refused: \(words); the peer needs one "
        + "that a trusted root has signed for this name")
  }
}
