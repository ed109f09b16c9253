import Base
import Events

/// Decodes the user headers of a stored message; the codec belongs to the bus.
package typealias HeaderDecoder = (UnsafeRawBufferPointer) -> [(String, String)]

/// One record as `kfm topics tail --json` shows it (SURFACE):
/// `{topic, partition, offset, append_time, headers{}, event{…}}`.
struct RecordLine {
  let decodeHeaders: HeaderDecoder

  /// Appends the line of `record` and a newline.
  func append(_ record: PolledRecord, of target: TopicPartition, to out: inout [UInt8]) {
    var writer = JSONWriter(reserving: record.payload.count + 320)
    writer.beginObject()
    writer.member("topic", target.topic.name)
    writer.member("partition", target.partition)
    writer.member("offset", record.offset)
    writer.member("append_time", record.appendTime.rfc3339)
    writer.name("headers")
    writer.beginObject()
    let headers = UnsafeRawBufferPointer(rebasing: record.storage.bytes[record.headers])
    for (name, value) in decodeHeaders(headers) {
      writer.name(name)
      writer.string(value)
    }
    writer.endObject()
    let payload = record.payloadBytes
    if let event = Self.event(payload) {
      writer.name("event")
      writer.raw(event)
    } else {
      writer.member("data_base64", Base64.encode(payload))
    }
    writer.endObject()
    out.append(contentsOf: writer.bytes)
    out.append(UInt8(ascii: "\n"))
  }

  /// The payload as JSON text of one line when it is an envelope. The scanner checks an envelope's
  /// fields only; what is not JSON throughout must not end up inside a JSON line.
  private static func event(_ payload: UnsafeRawBufferPointer) -> [UInt8]? {
    guard EnvelopeScanner(payload) != nil, let parsed = try? JSON(parsing: payload) else {
      return nil
    }
    let isOneLine = !payload.contains { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }
    return isOneLine ? Array(payload) : parsed.encoded
  }
}
