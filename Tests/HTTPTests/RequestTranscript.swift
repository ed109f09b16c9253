import HTTP

/// What a parser said about some bytes, in a form that can be compared: the parts of a body joined.
struct RequestTranscript: Equatable, CustomStringConvertible {
  enum Entry: Equatable {
    case head(String)
    case body([UInt8])
    case end
    case failure(RequestFailure)
  }

  private(set) var entries: [Entry] = []
  /// The heads themselves, for closer looks.
  private(set) var heads: [RequestHead] = []

  /// Feeds `bytes` in pieces that end at `cuts` (ascending) to a new parser.
  init(_ bytes: [UInt8], cuts: [Int] = [], bodyBytesMax: Int = 1 << 20) {
    var parser = RequestParser(bodyBytesMax: bodyBytesMax)
    var start = 0
    for end in cuts + [bytes.count] {
      guard feed(Array(bytes[start..<end]), to: &parser) else { return }
      start = end
    }
  }

  init(_ text: String, bodyBytesMax: Int = 1 << 20) {
    self.init(Array(text.utf8), bodyBytesMax: bodyBytesMax)
  }

  var failure: RequestFailure? {
    if case .failure(let failure)? = entries.last { failure } else { nil }
  }

  /// Complete requests.
  var ends: Int { entries.count { $0 == .end } }

  var bodies: [[UInt8]] {
    entries.compactMap { if case .body(let bytes) = $0 { bytes } else { nil } }
  }

  var description: String { entries.map { "\($0)" }.joined(separator: "\n") }

  static func == (left: RequestTranscript, right: RequestTranscript) -> Bool {
    left.entries == right.entries
  }

  private mutating func feed(_ piece: [UInt8], to parser: inout RequestParser) -> Bool {
    piece.withUnsafeBytes { bytes in
      var offset = 0
      do throws(RequestFailure) {
        while let event = try parser.next(bytes, at: &offset) { add(event, bytes) }
        return true
      } catch {
        entries.append(.failure(error))
        return false
      }
    }
  }

  private mutating func add(_ event: RequestParser.Event, _ bytes: UnsafeRawBufferPointer) {
    switch event {
    case .head(let head):
      heads.append(head)
      entries.append(.head(Self.summary(head)))
    case .body(let range):
      if case .body(let before)? = entries.last {
        entries[entries.count - 1] = .body(before + bytes[range])
      } else {
        entries.append(.body(Array(bytes[range])))
      }
    case .end: entries.append(.end)
    }
  }

  private static func summary(_ head: RequestHead) -> String {
    let fields = head.fields.all().map { "\($0.name)=\($0.value)" }.joined(separator: "|")
    return """
      \(head.method) \(head.targetText) \(head.target) 1.\(head.minorVersion) [\(fields)] \
      \(head.framing) keep=\(head.keepsAlive) expects=\(head.expectsContinue)
      """
  }
}
