import Base
import Foundation

/// A plain HTTP/1.1 client over blocking sockets, independent of the program's own.
struct TestHTTP: Sendable {
  struct Failed: Error, CustomStringConvertible {
    var description: String
  }

  struct Reply {
    var status: Int
    /// By lower-case name.
    var fields: [String: String]
    var body: [UInt8]

    var json: JSON { (try? JSON(parsing: body)) ?? .null }
    var code: String? { json["code"]?.string }
  }

  struct Event: Sendable {
    var name: String
    var id: String?
    var data: JSON

    var isTerminal: Bool {
      ["turn.completed", "turn.failed", "turn.cancelled", "turn.merged"].contains(name)
    }
  }

  let address: String

  func request(
    _ method: String, _ path: String, _ body: JSON? = nil, fields: [String: String] = [:]
  ) throws -> Reply {
    let connection = try open(method, path, body, fields)
    return Reply(
      status: connection.status, fields: connection.fields, body: try connection.readAll())
  }

  /// A turn whose events are handed over until the stream ends, however it ends.
  func turn(_ body: JSON, _ onEvent: (Event) -> Void = { _ in }) throws -> [Event] {
    try stream("POST", "/v1/turns", body, [:], onEvent)
  }

  func events(of turnID: String, after id: String? = nil) throws -> [Event] {
    try stream("GET", "/v1/turns/\(turnID)/events", nil, id.map { ["Last-Event-ID": $0] } ?? [:])
  }

  private func stream(
    _ method: String, _ path: String, _ body: JSON?, _ fields: [String: String],
    _ onEvent: (Event) -> Void = { _ in }
  ) throws -> [Event] {
    let accept = ["Accept": "text/event-stream"]
    let connection = try open(method, path, body, fields.merging(accept) { old, _ in old })
    guard connection.status != 204 else { return [] }
    guard connection.status == 200 else {
      let body = String(decoding: (try? connection.readAll()) ?? [], as: UTF8.self)
      throw Failed(description: "status \(connection.status): \(body)")
    }
    var events: [Event] = []
    var (name, id, data) = ("", String?.none, "")
    while let line = connection.readLine() {
      if line.hasPrefix("event: ") { name = String(line.dropFirst(7)) }
      if line.hasPrefix("id: ") { id = String(line.dropFirst(4)) }
      if line.hasPrefix("data: ") { data = String(line.dropFirst(6)) }
      guard line.isEmpty, !name.isEmpty else { continue }
      let event = Event(name: name, id: id, data: try JSON(parsing: data))
      onEvent(event)
      events.append(event)
      (name, id, data) = ("", nil, "")
    }
    return events
  }

  private func open(
    _ method: String, _ path: String, _ body: JSON?, _ fields: [String: String]
  ) throws -> TestConnection {
    let connection = try TestConnection(address)
    let bytes = body?.encoded
    var head = "\(method) \(path) HTTP/1.1\r\nHost: \(address)\r\nConnection: close\r\n"
    for (name, value) in fields { head += "\(name): \(value)\r\n" }
    if let bytes {
      head += "Content-Type: application/json\r\nContent-Length: \(bytes.count)\r\n"
    }
    try connection.send(Array((head + "\r\n").utf8) + (bytes ?? []))
    try connection.readHead()
    return connection
  }
}

/// One connection with one exchange on it.
final class TestConnection {
  private let descriptor: Int32
  private var buffer: [UInt8] = []
  private var at = 0
  private(set) var status = 0
  private(set) var fields: [String: String] = [:]
  /// Bytes of the body, or of its chunk, that are still to come; nil up to the connection's end.
  private var left: Int?
  private var isChunked = false
  private var isOver = false

  init(_ address: String) throws {
    let parts = address.split(separator: ":")
    guard parts.count == 2, let port = UInt16(parts[1]) else {
      throw TestHTTP.Failed(description: "no address: \(address)")
    }
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = port.bigEndian
    inet_pton(AF_INET, String(parts[0]), &name.sin_addr)
    var patience = timeval(tv_sec: 60, tv_usec: 0)
    setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    let result = withUnsafePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard result == 0 else {
      close(descriptor)
      throw TestHTTP.Failed(description: "connect \(address): \(errno)")
    }
  }

  deinit { close(descriptor) }

  func send(_ bytes: [UInt8]) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      // A server that has answered may close before it has read everything.
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }

  func readHead() throws {
    guard let line = rawLine(), line.hasPrefix("HTTP/1.1 "),
      let code = Int(line.dropFirst(9).prefix(3))
    else { throw TestHTTP.Failed(description: "no answer") }
    status = code
    while let line = rawLine(), !line.isEmpty {
      let parts = line.split(separator: ":", maxSplits: 1)
      guard parts.count == 2 else { continue }
      fields[parts[0].lowercased()] = parts[1].trimmingCharacters(in: .whitespaces)
    }
    isChunked = fields["transfer-encoding"] == "chunked"
    left = isChunked ? 0 : fields["content-length"].flatMap { Int($0) }
  }

  func readAll() throws -> [UInt8] {
    var body: [UInt8] = []
    while let byte = next() { body.append(byte) }
    return body
  }

  /// A line of the body without its end; nil at the body's end.
  func readLine() -> String? {
    var line: [UInt8] = []
    while let byte = next() {
      if byte == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
      line.append(byte)
    }
    return nil
  }

  private func next() -> UInt8? {
    guard !isOver else { return nil }
    if left == 0 {
      guard isChunked, let size = nextChunk(), size > 0 else {
        isOver = true
        return nil
      }
      left = size
    }
    left = left.map { $0 - 1 }
    let byte = rawByte()
    isOver = byte == nil
    return byte
  }

  private func nextChunk() -> Int? {
    while let line = rawLine() {
      // The line's end after the chunk before.
      if line.isEmpty { continue }
      return Int(line, radix: 16)
    }
    return nil
  }

  private func rawLine() -> String? {
    var line: [UInt8] = []
    while let byte = rawByte() {
      if byte == UInt8(ascii: "\n") {
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        return String(decoding: line, as: UTF8.self)
      }
      line.append(byte)
    }
    return nil
  }

  private func rawByte() -> UInt8? {
    if at == buffer.count {
      var piece = [UInt8](repeating: 0, count: 16 << 10)
      let count = recv(descriptor, &piece, piece.count, 0)
      guard count > 0 else { return nil }
      buffer = Array(piece[..<count])
      at = 0
    }
    defer { at += 1 }
    return buffer[at]
  }
}
