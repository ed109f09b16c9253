/// Collects the head of an answer line by line, as libcurl hands it over or a socket brings it.
struct ResponseHeadBuilder {
  enum Outcome: Equatable {
    case incomplete
    /// The empty line of a final answer's head.
    case complete
    case failed(String)
  }

  private var block: [UInt8] = []
  private var spans: [HTTPFields.Span] = []
  private(set) var status = 0
  /// The n of HTTP/1.n.
  private(set) var minorVersion = 1

  var fields: HTTPFields { HTTPFields(block: block, spans: spans) }

  /// Takes one line with its line end. Informational answers (1xx) are passed over; a line that is
  /// no field is skipped, since there is nobody to refuse it to.
  mutating func add(line: UnsafeRawBufferPointer) -> Outcome {
    let length = Self.withoutEnd(line)
    if status == 0 || startsAnswer(line, length) { return begin(line, length) }
    if length == 0 {
      guard status < 200 else { return .complete }
      status = 0
      return .incomplete
    }
    guard block.count + length <= HTTPLimits.headBytesMax else {
      return .failed("the answer's head is over \(HTTPLimits.headBytesMax) bytes")
    }
    guard spans.count < HTTPLimits.fieldsMax else {
      return .failed("the answer has over \(HTTPLimits.fieldsMax) fields")
    }
    let start = block.count
    block.append(contentsOf: UnsafeRawBufferPointer(rebasing: line[..<length]))
    let located = block.withUnsafeBytes { FieldSyntax.locate($0, start..<start + length) }
    if case .success(let span) = located {
      spans.append(span)
    } else {
      block.removeSubrange(start...)
    }
    return .incomplete
  }

  /// `HTTP/1.n SP status-code SP …`
  private mutating func begin(_ line: UnsafeRawBufferPointer, _ length: Int) -> Outcome {
    block.removeAll(keepingCapacity: true)
    spans.removeAll(keepingCapacity: true)
    guard length >= 12, line[..<7].elementsEqual("HTTP/1.".utf8), 0x30...0x39 ~= line[7],
      line[8] == Byte.space, length == 12 || line[12] == Byte.space,
      line[9..<12].allSatisfy({ 0x30...0x39 ~= $0 }), line[9] != 0x30
    else { return .failed("the answer is not HTTP/1.1") }
    minorVersion = Int(line[7] - 0x30)
    status = line[9..<12].reduce(0) { $0 * 10 + Int($1 - 0x30) }
    return .incomplete
  }

  /// After a 1xx answer libcurl starts the next head without telling.
  private func startsAnswer(_ line: UnsafeRawBufferPointer, _ length: Int) -> Bool {
    spans.isEmpty && length > 5 && line[..<5].elementsEqual("HTTP/".utf8)
  }

  private static func withoutEnd(_ line: UnsafeRawBufferPointer) -> Int {
    var length = line.count
    if length > 0, line[length - 1] == Byte.lineFeed { length -= 1 }
    if length > 0, line[length - 1] == Byte.carriageReturn { length -= 1 }
    return length
  }
}
