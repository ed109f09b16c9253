import COpenSSL
import Glibc

/// What the secured connections of one kind share: certificate and key of a server, or what a client
/// trusts. TLS 1.2 and 1.3 (RFC 5246, RFC 8446), no compression, no renegotiation. Used on one loop.
package final class TLSContext {
  let pointer: OpaquePointer
  let isServer: Bool

  /// For servers, from PEM files: the certificate with those that lead to its root, and its key.
  /// `protocols` are offered by ALPN (RFC 7301), the best first.
  package static func server(
    certificateFile: String, keyFile: String, protocols: [String] = []
  ) throws(TLSFailure) -> TLSContext {
    var step = KFM_TLS_STEP_NONE
    var text = [CChar](repeating: 0, count: TLSFailure.textBytesMax)
    guard
      let pointer = kfm_tls_server_context(certificateFile, keyFile, &step, &text, text.count)
    else {
      throw .context(step, String(nulTerminated: text), certificateFile, keyFile)
    }
    return try TLSContext(pointer, isServer: true, protocols)
  }

  /// For clients: who connects checks the server's certificate and name, against the system's roots
  /// or those of the PEM file `trustFile`.
  package static func client(
    trustFile: String? = nil, protocols: [String] = []
  ) throws(TLSFailure) -> TLSContext {
    var step = KFM_TLS_STEP_NONE
    var text = [CChar](repeating: 0, count: TLSFailure.textBytesMax)
    guard let pointer = kfm_tls_client_context(trustFile, &step, &text, text.count) else {
      throw .context(step, String(nulTerminated: text), trustFile ?? "the system's roots", "")
    }
    return try TLSContext(pointer, isServer: false, protocols)
  }

  private init(
    _ pointer: OpaquePointer, isServer: Bool, _ protocols: [String]
  ) throws(TLSFailure) {
    self.pointer = pointer
    self.isServer = isServer
    guard !protocols.isEmpty else { return }
    var list: [UInt8] = []
    for name in protocols {
      guard (1...255).contains(name.utf8.count) else { throw .protocols(protocols) }
      list.append(UInt8(name.utf8.count))
      list.append(contentsOf: name.utf8)
    }
    guard kfm_tls_context_protocols(pointer, list, list.count) == 1 else {
      throw .protocols(protocols)
    }
  }

  deinit { kfm_tls_context_free(pointer) }
}

extension String {
  init(nulTerminated text: [CChar]) {
    self = text.withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}
