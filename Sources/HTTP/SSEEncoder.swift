/// Writes `text/event-stream` (WHATWG HTML, section 9.2). Whatever the values hold, the lines stay
/// lines: breaks in `data` become further `data:` lines, in `event` and `id` they are left out.
package enum SSEEncoder {
  /// Appends one event with its terminating blank line.
  package static func append(
    event: String? = nil, id: String? = nil, data: UnsafeRawBufferPointer, to out: inout [UInt8]
  ) {
    if let id { appendLine("id: ", id, &out) }
    if let event { appendLine("event: ", event, &out) }
    var start = 0
    while true {
      let end = lineEnd(data, from: start)
      ResponseWriter.append("data: ", &out)
      out.append(contentsOf: UnsafeRawBufferPointer(rebasing: data[start..<end]))
      out.append(Byte.lineFeed)
      guard end < data.count else { break }
      let isPair =
        data[end] == Byte.carriageReturn && end + 1 < data.count
        && data[end + 1] == Byte.lineFeed
      start = end + (isPair ? 2 : 1)
    }
    out.append(Byte.lineFeed)
  }

  /// Appends one event with its terminating blank line.
  package static func append(
    event: String? = nil, id: String? = nil, data: [UInt8], to out: inout [UInt8]
  ) {
    data.withUnsafeBytes { append(event: event, id: id, data: $0, to: &out) }
  }

  /// Appends a comment, which clients ignore and proxies take for life.
  package static func append(comment: String, to out: inout [UInt8]) {
    appendLine(": ", comment, &out)
    out.append(Byte.lineFeed)
  }

  /// Position of the next CR or LF. JSON has none: both look-ups run to the end once.
  private static func lineEnd(_ data: UnsafeRawBufferPointer, from start: Int) -> Int {
    let lineFeed =
      Byte.firstIndex(of: Byte.lineFeed, in: data, from: start, to: data.count) ?? data.count
    return Byte.firstIndex(of: Byte.carriageReturn, in: data, from: start, to: lineFeed)
      ?? lineFeed
  }

  private static func appendLine(_ name: StaticString, _ value: String, _ out: inout [UInt8]) {
    ResponseWriter.append(name, &out)
    for byte in value.utf8
    where byte != Byte.lineFeed && byte != Byte.carriageReturn && byte != 0 {
      out.append(byte)
    }
    out.append(Byte.lineFeed)
  }
}
