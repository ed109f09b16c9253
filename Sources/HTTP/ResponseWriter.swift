import Base

/// Writes status lines, header fields and chunks.
enum ResponseWriter {
  /// What follows the head.
  enum Framing {
    case length(Int)
    case chunked
    /// Until the connection ends: for HTTP/1.0 clients.
    case untilClose
    case none
  }

  struct Head {
    var status: Int
    var fields: [HTTPField]
    var framing: Framing
    /// The value of Connection, when it has to be said.
    var connection: StaticString?
  }

  static func append(_ head: Head, date: [UInt8], to out: inout [UInt8]) {
    append("HTTP/1.1 ", &out)
    append(number: head.status, &out)
    out.append(Byte.space)
    append(HTTPStatus.reason(head.status), &out)
    append("\r\nDate: ", &out)
    out.append(contentsOf: date)
    append("\r\n", &out)
    for field in head.fields { append(field, to: &out) }
    switch head.framing {
    case .length(let length):
      append("Content-Length: ", &out)
      append(number: length, &out)
      append("\r\n", &out)
    case .chunked: append("Transfer-Encoding: chunked\r\n", &out)
    case .untilClose, .none: break
    }
    if let connection = head.connection {
      append("Connection: ", &out)
      append(connection, &out)
      append("\r\n", &out)
    }
    append("\r\n", &out)
  }

  /// One field line. Values may hold what a user or a vendor said: control characters, which could
  /// end the line and start another, become spaces.
  static func append(_ field: HTTPField, to out: inout [UInt8]) {
    for byte in field.name.utf8 { out.append(ByteSet.token.contains(byte) ? byte : 0x5F) }
    out.append(Byte.colon)
    out.append(Byte.space)
    for byte in field.value.utf8 {
      out.append(byte >= 0x20 && byte != 0x7F || byte == Byte.tab ? byte : Byte.space)
    }
    append("\r\n", &out)
  }

  /// One chunk of the chunked coding; `bytes` must not be empty, that would end the body.
  static func append(chunk bytes: UnsafeRawBufferPointer, to out: inout [UInt8]) {
    precondition(!bytes.isEmpty, "an empty chunk ends a body")
    append(hexadecimal: bytes.count, &out)
    append("\r\n", &out)
    out.append(contentsOf: bytes)
    append("\r\n", &out)
  }

  static func append(_ text: StaticString, _ out: inout [UInt8]) {
    out.append(
      contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  static func append(number: Int, _ out: inout [UInt8]) {
    var divisor = 1
    while number / divisor >= 10 { divisor *= 10 }
    while divisor > 0 {
      out.append(0x30 + UInt8(number / divisor % 10))
      divisor /= 10
    }
  }

  private static func append(hexadecimal number: Int, _ out: inout [UInt8]) {
    let digits: StaticString = "0123456789abcdef"
    var shift = (Int.bitWidth - 1 - number.leadingZeroBitCount) / 4 * 4
    while shift >= 0 {
      out.append(digits.utf8Start[number >> shift & 15])
      shift -= 4
    }
  }
}
