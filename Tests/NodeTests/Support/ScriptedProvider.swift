import Base
import Foundation
import Synchronization

/// An OpenAI-compatible server that answers as the question says: `say=WORDS` words, `pause=MS`
/// between them, `refuse=STATUS`. `id=NAME` tells the questions apart.
final class ScriptedProvider: Sendable {
  let port: UInt16
  private let descriptor: Int32
  private let asked = Mutex<[String: Int]>([:])

  var url: String { "http://127.0.0.1:\(port)/v1" }

  init() throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = descriptor
    let isBound = withUnsafeMutablePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && listen(descriptor, 128) == 0
          && getsockname(descriptor, $0, &length) == 0
      }
    }
    guard isBound else { throw TestHTTP.Failed(description: "no port for the provider: \(errno)") }
    port = UInt16(bigEndian: name.sin_port)
    Thread.detachNewThread { [weak self] in
      while true {
        let client = accept(descriptor, nil, nil)
        guard client >= 0 else { return }
        guard let self else {
          close(client)
          return
        }
        Thread.detachNewThread {
          self.serve(client)
          close(client)
        }
      }
    }
  }

  deinit {
    shutdown(descriptor, Int32(SHUT_RDWR))
    close(descriptor)
  }

  /// How often the question `id` was asked.
  func count(of id: String) -> Int { asked.withLock { $0[id] ?? 0 } }

  /// What the answer to `id` with that many words is.
  static func words(_ id: String, _ count: Int) -> String {
    (0..<count).map { "\(id)-\($0) " }.joined()
  }

  // MARK: One exchange

  private func serve(_ client: Int32) {
    guard let body = readRequest(client), let script = Script(body) else {
      return reply(client, status: 400, ["error": ["message": "no script"]])
    }
    asked.withLock { $0[script.id, default: 0] += 1 }
    guard script.refusal == nil else {
      return reply(client, status: script.refusal ?? 500, ["error": ["message": "scripted"]])
    }
    stream(client, script)
  }

  /// What a question asks for.
  private struct Script {
    var id = "none"
    var words = 3
    var pauseMilliseconds: UInt32 = 0
    var refusal: Int?

    init?(_ body: JSON) {
      guard let messages = body["messages"]?.array,
        let question = messages.last(where: { $0["role"]?.string == "user" }),
        let text = question["content"]?.string
      else { return nil }
      for word in text.split(whereSeparator: \.isWhitespace) {
        let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
        guard parts.count == 2 else { continue }
        switch parts[0] {
        case "id": id = parts[1]
        case "say": words = Int(parts[1]) ?? words
        case "pause": pauseMilliseconds = UInt32(parts[1]) ?? 0
        case "refuse": refusal = Int(parts[1])
        default: break
        }
      }
    }
  }

  private func stream(_ client: Int32, _ script: Script) {
    guard
      send(
        client, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
    else { return }
    for index in 0..<script.words {
      let delta: JSON = ["content": .string("\(script.id)-\(index) ")]
      guard send(client, Self.chunk(["index": 0, "delta": delta])) else { return }
      if script.pauseMilliseconds > 0 { usleep(script.pauseMilliseconds * 1_000) }
    }
    let end: JSON = ["index": 0, "delta": [:], "finish_reason": "stop"]
    let usage: JSON = [
      "prompt_tokens": 11, "completion_tokens": .int(Int64(script.words)),
      "total_tokens": .int(Int64(script.words + 11)),
    ]
    let tail: JSON = [
      "id": "c", "object": "chat.completion.chunk", "model": "scripted", "choices": [],
      "usage": usage,
    ]
    _ = send(client, Self.chunk(end) + "data: \(tail.text)\n\ndata: [DONE]\n\n")
  }

  private static func chunk(_ choice: JSON) -> String {
    let value: JSON = [
      "id": "c", "object": "chat.completion.chunk", "model": "scripted",
      "choices": .array([choice]),
    ]
    return "data: \(value.text)\n\n"
  }

  private func reply(_ client: Int32, status: Int, _ value: JSON) {
    let body = value.text
    _ = send(
      client,
      "HTTP/1.1 \(status) Scripted\r\nContent-Type: application/json\r\nConnection: close\r\n"
        + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
  }

  private func send(_ client: Int32, _ text: String) -> Bool {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        Glibc.send(client, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }

  /// The JSON body of a request with a Content-Length.
  private func readRequest(_ client: Int32) -> JSON? {
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = recv(client, &piece, piece.count, 0)
      guard count > 0 else { return nil }
      bytes += piece[..<count]
      guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { continue }
      let head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).lowercased()
      let line = head.split(separator: "\r\n").first { $0.hasPrefix("content-length:") }
      let length = line.flatMap { Int($0.dropFirst(15).trimmingCharacters(in: .whitespaces)) } ?? 0
      guard bytes.count - end.upperBound >= length else { continue }
      return try? JSON(parsing: Array(bytes[end.upperBound...].prefix(length)))
    }
  }
}
