import Base
import HTTP
import TestSupport
import UringIO

/// What a server answered.
struct Answer {
  var status: Int
  /// By lower-case name.
  var fields: [String: String]
  var body: [UInt8]

  var text: String { String(decoding: body, as: UTF8.self) }
  var json: JSON { (try? JSON(parsing: body)) ?? .null }
  var code: String? { json["code"]?.string }
}

/// A client that sends what it is told and takes answers apart by the letter of RFC 9112; it knows
/// only what a server of ours sends.
final class TestClient {
  private let loop: EventLoop
  private var socket: Socket?
  private var received: [UInt8] = []
  private(set) var isConnected = false
  private(set) var isClosed = false

  init(loop: EventLoop) { self.loop = loop }

  func connect(to address: SocketAddress) {
    loop.connect(to: address, timeout: LoopHarness.deadline) { [self] result in
      guard case .success(let socket) = result else { return }
      self.socket = socket
      isConnected = true
      socket.onReceive = { [self] in received.append(contentsOf: $0) }
      socket.onEnd = { [self] _ in isClosed = true }
      socket.startReceiving()
    }
  }

  func send(
    _ method: String, _ path: String, _ body: String? = nil, _ fields: [String: String] = [:]
  ) {
    var all = ["Host": "localhost"]
    if let body {
      all["Content-Type"] = "application/json"
      all["Content-Length"] = "\(body.utf8.count)"
    }
    all.merge(fields) { $1 }
    let lines = all.map { "\($0): \($1)\r\n" }.joined()
    send(raw: "\(method) \(path) HTTP/1.1\r\n\(lines)\r\n\(body ?? "")")
  }

  func send(raw text: String) { socket?.send(Array(text.utf8)) }

  func pause() { socket?.pauseReceiving() }

  func close() {
    socket?.close()
    socket = nil
  }

  /// Everything received.
  var text: String { String(decoding: received, as: UTF8.self) }

  /// Status line and fields, once they are there.
  var head: (status: Int, fields: [String: String])? {
    guard let end = headEnd else { return nil }
    let lines = String(decoding: received[..<end], as: UTF8.self).split(separator: "\r\n")
    var fields: [String: String] = [:]
    for line in lines.dropFirst() {
      let colon = line.firstIndex(of: ":")!
      fields[line[..<colon].lowercased()] = String(line[line.index(after: colon)...].dropFirst())
    }
    return (Int(lines[0].split(separator: " ")[1])!, fields)
  }

  /// The whole answer, once it is there.
  var answer: Answer? {
    guard let head, let body else { return nil }
    return Answer(status: head.status, fields: head.fields, body: body)
  }

  /// What has come of a chunked body so far, and whether its end has.
  var chunks: (bytes: [UInt8], isComplete: Bool) {
    var rest = received[headEnd!...].dropFirst(4)
    var bytes: [UInt8] = []
    while let line = rest.firstIndex(of: 0x0A) {
      let size = Int(String(decoding: rest[..<(line - 1)], as: UTF8.self), radix: 16)!
      guard size > 0 else { return (bytes, true) }
      guard rest.endIndex >= line + 1 + size + 2 else { break }
      bytes.append(contentsOf: rest[(line + 1)..<(line + 1 + size)])
      rest = rest[(line + 1 + size + 2)...]
    }
    return (bytes, false)
  }

  var chunkText: String { String(decoding: chunks.bytes, as: UTF8.self) }

  private var body: [UInt8]? {
    guard let head else { return nil }
    if head.status == 204 { return [] }
    if head.fields["transfer-encoding"] == "chunked" {
      let (bytes, isComplete) = chunks
      return isComplete ? bytes : nil
    }
    let length = Int(head.fields["content-length"] ?? "0")!
    let rest = received[headEnd!...].dropFirst(4)
    return rest.count >= length ? Array(rest.prefix(length)) : nil
  }

  private var headEnd: Int? {
    received.indices.dropLast(3).first { received[$0..<($0 + 4)].elementsEqual([13, 10, 13, 10]) }
  }
}
