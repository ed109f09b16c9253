/// Why a request is refused before it reaches a handler. The connection ends after the answer.
package enum RequestFailure: Error, Equatable, Sendable {
  /// 400. It is no HTTP/1.1 request, or one that two readers could take differently; the text says
  /// what is wrong with it.
  case malformed(String)
  /// 431. The text says which limit, and what it is.
  case headersTooLarge(String)
  /// 413.
  case bodyTooLarge(bytesMax: Int)
  /// 408. The text says what did not come in time.
  case timeout(String)
  /// 503. The server holds as much as it may; the text says of what.
  case overloaded(String)
  /// 500. The handler let go of the request without an answer.
  case unanswered

  package var status: Int {
    switch self {
    case .malformed: 400
    case .headersTooLarge: 431
    case .bodyTooLarge: 413
    case .timeout: 408
    case .overloaded: 503
    case .unanswered: 500
    }
  }

  /// One sentence for people, with the limit and the remedy where there is one.
  package var detail: String {
    switch self {
    case .malformed(let reason): "The request is malformed: \(reason)."
    case .headersTooLarge(let reason): "The request's head is too large: \(reason)."
    case .bodyTooLarge(let bytesMax): "The request's body is over \(bytesMax) bytes."
    case .timeout(let reason): "The request took too long: \(reason)."
    case .overloaded(let reason): "The server is full: \(reason); try again later."
    case .unanswered: "The request was dropped by its handler."
    }
  }
}
