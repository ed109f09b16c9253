/// Writes `text/event-stream` (WHATWG HTML, section 9.2). Whatever the values hold, the lines stay
/// lines: breaks in `data` become further `data:` lines, in `event` and `id` they are left out.
package enum SSEEncoder {
  /// Appends one event with its terminating blank line.
  package static func append(
    event: String? = nil, id: String? = nil, data: some Sequence<UInt8>, to out: inout [UInt8]
  ) {
    if let id { appendLine("id: ", id, &out) }
    if let event { appendLine("event: ", event, &out) }
    out.append(contentsOf: "data: ".utf8)
    var isAfterReturn = false
    for byte in data {
      switch byte {
      case Byte.lineFeed where isAfterReturn: isAfterReturn = false
      case Byte.lineFeed, Byte.carriageReturn:
        out.append(contentsOf: "\ndata: ".utf8)
        isAfterReturn = byte == Byte.carriageReturn
      default:
        out.append(byte)
        isAfterReturn = false
      }
    }
    out.append(Byte.lineFeed)
    out.append(Byte.lineFeed)
  }

  /// Appends a comment, which clients ignore and proxies take for life.
  package static func append(comment: String, to out: inout [UInt8]) {
    appendLine(": ", comment, &out)
    out.append(Byte.lineFeed)
  }

  private static func appendLine(_ name: String, _ value: String, _ out: inout [UInt8]) {
    out.append(contentsOf: name.utf8)
    for byte in value.utf8
    where byte != Byte.lineFeed && byte != Byte.carriageReturn && byte != 0 {
      out.append(byte)
    }
    out.append(Byte.lineFeed)
  }
}
