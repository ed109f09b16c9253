import Base

/// Prints records as they come in pieces of JSON lines.
struct RecordPrinter {
  let output: OutputWriter
  let isJSON: Bool
  /// The beginning of a line whose end has not come yet.
  private var partial: [UInt8] = []

  /// Columns of a record's content that people are shown.
  private static let contentWidth = 100

  init(output: OutputWriter, isJSON: Bool) {
    self.output = output
    self.isJSON = isJSON
  }

  mutating func feed(_ bytes: UnsafeRawBufferPointer) {
    if isJSON {
      output.write(bytes)
    } else {
      partial.append(contentsOf: bytes)
      var start = partial.startIndex
      while let end = partial[start...].firstIndex(of: UInt8(ascii: "\n")) {
        print(partial[start..<end])
        start = end + 1
      }
      partial.removeSubrange(..<start)
    }
    output.flush()
  }

  /// `TIME  PARTITION/OFFSET  TYPE  SESSION  CONTENT`
  private func print(_ line: ArraySlice<UInt8>) {
    guard let record = try? line.withUnsafeBytes({ try JSON(parsing: $0) }) else { return }
    let event = record["event"]
    let place = "\(record["partition"]?.int ?? 0)/\(record["offset"]?.int ?? 0)"
    let content = event?["payload"]?.text ?? record["data_base64"]?.string ?? ""
    output.line(
      [
        record["append_time"]?.string ?? "-", place, event?["type"]?.string ?? "-",
        event?["session_id"]?.string ?? "-", Self.shortened(content),
      ].joined(separator: "  "))
  }

  private static func shortened(_ text: String) -> String {
    text.count <= contentWidth ? text : text.prefix(contentWidth - 1) + "…"
  }
}
