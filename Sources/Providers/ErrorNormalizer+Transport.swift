package import Events
package import HTTP

extension ErrorNormalizer {
  /// The call did not get as far as a whole answer. `headSeen` tells a stream that was cut from a
  /// provider that was never reached.
  package func failure(_ transport: TransportFailure, headSeen: Bool) -> TurnFailure {
    switch transport {
    case .requestInvalid(let detail): failure(.providerInvalidRequest, detail)
    case .unreachable(let detail): failure(.providerUnavailable, detail)
    case .nameUnknown(let detail): failure(.providerUnavailable, detail)
    case .untrusted(let detail): failure(.providerUnavailable, detail)
    case .timeout(.connect): failure(.providerTimeout, "no connection within timeout_connect")
    case .timeout(.firstByte):
      failure(.providerTimeout, "no answer within timeout_first_byte")
    case .timeout(.idle): failure(.providerTimeout, "silent for longer than timeout_idle")
    case .timeout(.total): failure(.providerTimeout, "not finished within timeout_total")
    case .cut(let detail):
      headSeen
        ? failure(.providerStreamCut, "the answer was cut: \(detail)")
        : failure(.providerUnavailable, "the connection closed before an answer: \(detail)")
    case .protocolViolation(let detail): failure(.providerProtocol, detail)
    }
  }
}
