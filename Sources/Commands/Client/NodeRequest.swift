import Base
import HTTP

/// A request to the node, whatever way leads there.
struct NodeRequest {
  var method = HTTPMethod.get
  /// With its query, encoded.
  var path: String
  var body: JSON?
  var accept = "application/json"
  var lastEventID: String?
  /// The node's comments come every 15 s; without any of them it is gone.
  var idle = Nanoseconds.seconds(60)
  /// Of the whole exchange; a stream lasts as long as its turn waits and runs.
  var total = Nanoseconds.seconds(30)

  static let streamTotal = Nanoseconds.seconds(7 * 86_400)

  init(path: String) { self.path = path }

  /// A stream of a turn's events.
  static func events(ofTurn turnID: String, after lastEventID: String?) -> NodeRequest {
    var request = NodeRequest(path: "/v1/turns/\(turnID)/events")
    request.accept = "text/event-stream"
    request.lastEventID = lastEventID
    request.total = streamTotal
    return request
  }

  func request(to target: NodeTarget) -> HTTPClientRequest {
    var fields = [HTTPField("Accept", accept)]
    var bytes: [UInt8] = []
    if let body {
      fields.append(HTTPField("Content-Type", "application/json"))
      bytes = body.encoded
    }
    if let lastEventID { fields.append(HTTPField("Last-Event-ID", lastEventID)) }
    let base: String
    switch target {
    case .socket: base = "http://localhost"
    case .url(let url, let token):
      base = url
      if let token { fields.append(HTTPField("Authorization", "Bearer \(token)")) }
    }
    var request = HTTPClientRequest(
      method: method, url: base + path, fields: fields, body: bytes)
    request.timeouts.idle = idle
    request.timeouts.total = total
    if case .socket(let path) = target { request.unixSocketPath = path }
    return request
  }
}
