import HTTP
import Testing

// Contract: SSEDecoder reads event streams as WHATWG HTML 9.2.6 says, the same for every split;
// SSEEncoder writes streams that decode to what was put in.

struct DecodedEvent: Equatable, Sendable {
  var name = ""
  var data = ""
  var id = ""
}

private func decode(_ text: String, cuts: [Int] = []) throws(SSEFailure) -> [DecodedEvent] {
  try decode(Array(text.utf8), cuts: cuts)
}

private func decode(_ bytes: [UInt8], cuts: [Int] = []) throws(SSEFailure) -> [DecodedEvent] {
  var decoder = SSEDecoder()
  var events: [DecodedEvent] = []
  var start = 0
  for end in cuts + [bytes.count] {
    let piece = Array(bytes[start..<end])
    let failure = piece.withUnsafeBytes { piece -> SSEFailure? in
      do throws(SSEFailure) {
        try decoder.feed(piece) { event in
          events.append(
            DecodedEvent(name: event.nameText, data: event.dataText, id: event.idText))
        }
        return nil
      } catch {
        return error
      }
    }
    if let failure { throw failure }
    start = end
  }
  return events
}

private let streams: [(String, [DecodedEvent])] = [
  ("data: a\n\n", [.init(data: "a")]),
  ("data:a\r\n\r\n", [.init(data: "a")]),
  ("data: a\r\ndata: b\r\n\r\n", [.init(data: "a\nb")]),
  ("data: a\r\rdata: b\r\r", [.init(data: "a"), .init(data: "b")]),
  ("data:  a \n\n", [.init(data: " a ")]),
  ("data: a\ndata: b\ndata\ndata:\n\n", [.init(data: "a\nb\n\n")]),
  ("data\n\n", [.init(data: "")]),
  ("event: x\ndata: a\n\ndata: b\n\n", [.init(name: "x", data: "a"), .init(data: "b")]),
  ("event: x\n\ndata: b\n\n", [.init(data: "b")]),
  ("id: 1.2\ndata: a\n\ndata: b\n\n", [.init(data: "a", id: "1.2"), .init(data: "b", id: "1.2")]),
  ("id: 1\nid\ndata: a\n\n", [.init(data: "a")]),
  ("id: 1\nid: a\u{0}b\ndata: a\n\n", [.init(data: "a", id: "1")]),
  (": comment\n\n:\n\ndata: a\n\n", [.init(data: "a")]),
  ("retry: 10\nunknown: x\nDATA: y\ndata : z\n\n", []),
  ("\u{feff}data: a\n\n", [.init(data: "a")]),
  ("\u{feff}\u{feff}data: a\n\ndata: b\n\n", [.init(data: "b")]),
  ("data: ä€🦊\n\n", [.init(data: "ä€🦊")]),
  ("\n\r\n\rdata: a\n\r\ndata: b\r\n\n", [.init(data: "a"), .init(data: "b")]),
  ("data: a\n\ndata: not finished\n", [.init(data: "a")]),
  ("data: a\n\ndata: not fini", [.init(data: "a")]),
  ("data: [DONE]\n\n", [.init(data: "[DONE]")]),
]

@Suite struct SSEDecoderTests {
  @Test(arguments: streams)
  func decodesWhateverTheSplit(_ text: String, _ events: [DecodedEvent]) throws {
    let bytes = Array(text.utf8)
    #expect(try decode(bytes) == events)
    #expect(try decode(bytes, cuts: Array(0..<bytes.count)) == events)
    for first in 0...bytes.count {
      for second in first...bytes.count {
        let split = try decode(bytes, cuts: [first, second])
        if split != events { Issue.record("cuts \(first), \(second): \(split)") }
      }
    }
  }

  @Test func linesAreBounded() throws {
    let most = "data:" + String(repeating: "x", count: SSEDecoder.lineBytesMax - 5)
    #expect(try decode(most + "\n\n").count == 1)
    let failure = SSEFailure.lineTooLong(bytesMax: SSEDecoder.lineBytesMax)
    #expect(throws: failure) { try decode(most + "x\n\n") }
    #expect(throws: failure) { try decode(most + "x") }
    #expect(throws: failure) { try decode(most + "x\n\n", cuts: [most.utf8.count]) }
  }

  @Test func eventsAreBounded() throws {
    let line = "data:" + String(repeating: "x", count: 1 << 19) + "\n"
    let most = String(repeating: line, count: SSEDecoder.eventBytesMax >> 19 - 1)
    #expect(try decode(most + "\n").count == 1)
    #expect(throws: SSEFailure.eventTooLong(bytesMax: SSEDecoder.eventBytesMax)) {
      try decode(most + line + "\n")
    }
  }

  @Test func retryIsKept() {
    var decoder = SSEDecoder()
    for text in ["retry: 15\n", "retry: 2x\n", "retry:\n"] {
      Array(text.utf8).withUnsafeBytes { bytes in
        #expect(throws: Never.self) { try decoder.feed(bytes) { _ in } }
      }
    }
    #expect(decoder.retryMilliseconds == 15)
  }
}

private func appendEvent(_ event: String?, _ id: String?, _ data: String, _ out: inout [UInt8]) {
  Array(data.utf8).withUnsafeBytes { SSEEncoder.append(event: event, id: id, data: $0, to: &out) }
}

@Suite struct SSEEncoderTests {
  @Test func writesTheLinesClientsExpect() {
    var out: [UInt8] = []
    appendEvent("delta", "1.2", #"{"a":1}"#, &out)
    SSEEncoder.append(comment: "ping", to: &out)
    #expect(
      String(decoding: out, as: UTF8.self)
        == "id: 1.2\nevent: delta\ndata: {\"a\":1}\n\n: ping\n\n")
  }

  @Test func nothingBreaksOutOfItsLine() throws {
    var out: [UInt8] = []
    appendEvent("a\ndata: evil", "1\r2\u{0}", "x\ny\r\nz\r\n\nid: 9", &out)
    appendEvent(nil, nil, "", &out)
    appendEvent(nil, nil, "\r", &out)
    let events = try decode(out)
    #expect(
      events == [
        DecodedEvent(name: "adata: evil", data: "x\ny\nz\n\nid: 9", id: "12"),
        DecodedEvent(data: "", id: "12"), DecodedEvent(data: "\n", id: "12"),
      ])
  }
}
