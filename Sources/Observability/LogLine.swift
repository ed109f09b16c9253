package import Base

/// How log records become lines. One record is one line whatever its strings hold: control
/// characters, also those of C1 and the Unicode line separators, are escaped, so that neither a
/// line reader nor a terminal can be fooled by what a client sent.
package enum LogLine {
  /// Longest line in bytes. Longer records keep time, level, module and the beginning of their
  /// message and say how much was left out: readers of logs cut or choke above this.
  package static let bytesMax = 32 << 10
  /// What is kept of a message whose record is too long, in bytes.
  static let messageBytesMax = 8 << 10

  /// `{"time":…,"level":…,"module":…,"message":…,"trace_id"?:…,…fields}` and a newline.
  package static func json(_ record: LogRecord) -> [UInt8] {
    let line = json(
      time: record.time, level: "\(record.level)", module: record.module, message: record.message,
      traceID: record.traceID, fields: record.fields)
    guard line.count > bytesMax else { return line }
    return json(
      time: record.time, level: "\(record.level)", module: record.module,
      message: prefix(of: record.message), traceID: record.traceID,
      fields: ["cut_bytes": .int(Int64(line.count))])
  }

  /// The same from parts, for records that are not in a ring.
  package static func json(
    time: Timestamp, level: String, module: String, message: String, traceID: String?,
    fields: JSONObject
  ) -> [UInt8] {
    var writer = JSONWriter(reserving: 256)
    writer.beginObject()
    writer.member("time", time.rfc3339)
    writer.member("level", level)
    writer.member("module", module)
    writer.member("message", message)
    if let traceID { writer.member("trace_id", traceID) }
    for member in fields.members where !reserved.contains(member.name) {
      writer.name(member.name)
      writer.value(member.value)
    }
    writer.endObject()
    var line = escapingControls(writer.bytes)
    line.append(newline)
    return line
  }

  /// `2026-11-25T22:10:21.123456Z INFO module: message name=value trace_id=…` and a newline.
  package static func text(_ record: LogRecord) -> [UInt8] {
    var text = "\(record.time.rfc3339) "
    text += "\(record.level)".uppercased() + " \(record.module): \(record.message)"
    for member in record.fields.members {
      text += " \(member.name)="
      if case .string(let value) = member.value, isPlain(value) {
        text += value
      } else {
        text += member.value.text
      }
    }
    if let trace = record.traceID { text += " trace_id=\(trace)" }
    if text.utf8.count > bytesMax { text = prefix(of: text) + "…" }
    var line = escapingControls(Array(text.utf8))
    line.append(newline)
    return line
  }

  /// Names that a field must not take over.
  private static let reserved: Set<String> = ["time", "level", "module", "message", "trace_id"]
  private static let newline = UInt8(ascii: "\n")

  /// Whether a value can stand in a text line without quotes.
  private static func isPlain(_ value: String) -> Bool {
    !value.isEmpty && value.utf8.allSatisfy { $0 > 0x20 && $0 != 0x22 && $0 != 0x3D && $0 != 0x7F }
  }

  private static func prefix(of text: String) -> String {
    String(decoding: text.utf8.prefix(messageBytesMax), as: UTF8.self)
  }

  /// Writes C0, DEL, C1, U+2028 and U+2029 as `\uXXXX`. In JSON text these stand in strings only,
  /// so the text keeps its value.
  static func escapingControls(_ bytes: [UInt8]) -> [UInt8] {
    guard bytes.contains(where: { $0 < 0x20 || $0 == 0x7F || $0 == 0xC2 || $0 == 0xE2 }) else {
      return bytes
    }
    var out: [UInt8] = []
    out.reserveCapacity(bytes.count + 32)
    var at = 0
    while at < bytes.count {
      let (scalar, length) = control(bytes, at)
      if let scalar {
        let digits = Hex.encode([UInt8(scalar >> 8), UInt8(scalar & 0xFF)])
        out.append(contentsOf: Array("\\u".utf8) + Array(digits.utf8))
      } else {
        out.append(bytes[at])
      }
      at += length
    }
    return out
  }

  /// The control character that begins at `at`, and how many bytes it takes; nil and 1 for
  /// anything else.
  private static func control(_ bytes: [UInt8], _ at: Int) -> (scalar: UInt16?, length: Int) {
    let byte = bytes[at]
    switch byte {
    case 0..<0x20, 0x7F: return (UInt16(byte), 1)
    case 0xC2 where at + 1 < bytes.count && (0x80..<0xA0).contains(bytes[at + 1]):
      return (UInt16(bytes[at + 1]), 2)
    case 0xE2 where at + 2 < bytes.count && bytes[at + 1] == 0x80 && bytes[at + 2] & 0xFE == 0xA8:
      return (0x2000 | UInt16(bytes[at + 2] & 0x3F), 3)
    default: return (nil, 1)
    }
  }
}
