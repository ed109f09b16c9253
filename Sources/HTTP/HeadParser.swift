/// Collects the lines of a request's head into one block and checks each as it ends.
struct HeadParser {
  /// Empty lines before a request that are forgiven: some old clients send one after a body
  /// (RFC 9112 section 2.2).
  private static let emptyLinesMax = 1
  /// Fits most requests, so that the block grows once at most.
  private static let blockBytesAtFirst = 768

  private struct RequestLine {
    var method: HTTPMethod
    var target: RequestTarget
    var targetRange: Range<Int>
    var minorVersion: Int
  }

  private var block: [UInt8] = []
  private var lineStart = 0
  private var emptyLines = 0
  private var requestLine: RequestLine?
  private var spans: [HTTPFields.Span] = []
  private var hosts = 0
  private var contentLength: Int?
  private var isChunked = false

  var isEmpty: Bool { block.isEmpty }

  /// Takes bytes from `offset` on, up to the end of the head; nil when they end before it does.
  mutating func next(
    _ bytes: UnsafeRawBufferPointer, at offset: inout Int
  ) throws(RequestFailure) -> RequestHead? {
    while offset < bytes.count {
      if block.isEmpty { try begin(bytes[offset]) }
      let lineFeed = Byte.firstIndex(
        of: Byte.lineFeed, in: bytes, from: offset, to: bytes.count)
      let end = lineFeed.map { $0 + 1 } ?? bytes.count
      guard block.count + end - offset <= HTTPLimits.headBytesMax else {
        throw .headersTooLarge("at most \(HTTPLimits.headBytesMax) bytes")
      }
      block.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[offset..<end]))
      offset = end
      guard lineFeed != nil else { return nil }
      if try endLine() { return try finish() }
    }
    return nil
  }

  /// Garbage (a TLS hello, another protocol) is refused by its first byte; no line end may follow.
  private mutating func begin(_ first: UInt8) throws(RequestFailure) {
    guard ByteSet.token.contains(first) || first == Byte.carriageReturn || first == Byte.lineFeed
    else { throw .malformed("it does not start with a method") }
    block.reserveCapacity(Self.blockBytesAtFirst)
  }

  /// True when the line was the empty one that ends the head.
  private mutating func endLine() throws(RequestFailure) -> Bool {
    let end = block.count - 2
    guard end >= lineStart, block[end] == Byte.carriageReturn else {
      throw .malformed("a line ends with LF alone")
    }
    let line = lineStart..<end
    lineStart = block.count
    guard requestLine != nil else {
      if line.isEmpty { return try skipEmptyLine() }
      requestLine = try readRequestLine(line)
      return false
    }
    if line.isEmpty { return true }
    try readField(line)
    return false
  }

  private mutating func skipEmptyLine() throws(RequestFailure) -> Bool {
    emptyLines += 1
    guard emptyLines <= Self.emptyLinesMax else {
      throw .malformed("empty lines stand before the request line")
    }
    block.removeAll(keepingCapacity: true)
    lineStart = 0
    return false
  }

  /// `method SP request-target SP HTTP/1.n`, with single spaces.
  private func readRequestLine(_ line: Range<Int>) throws(RequestFailure) -> RequestLine {
    let form = RequestFailure.malformed("the request line is not METHOD TARGET HTTP/1.1")
    let spaces = line.filter { block[$0] == Byte.space }
    guard spaces.count == 2, spaces[0] > 0 else { throw form }
    let method = HTTPMethod(String(decoding: block[..<spaces[0]], as: UTF8.self))
    guard block[..<spaces[0]].allSatisfy({ ByteSet.token.contains($0) }) else { throw form }
    let version = block[spaces[1] + 1..<line.upperBound]
    guard version.count == 8, version.starts(with: "HTTP/1.".utf8),
      let minor = version.last, 0x30...0x39 ~= minor
    else { throw form }
    let range = spaces[0] + 1..<spaces[1]
    guard range.count <= HTTPLimits.targetBytesMax else {
      throw .headersTooLarge("the target has at most \(HTTPLimits.targetBytesMax) bytes")
    }
    let target = try parseTarget(range, method)
    return RequestLine(
      method: method, target: target, targetRange: range, minorVersion: Int(minor - 0x30))
  }

  private func parseTarget(
    _ range: Range<Int>, _ method: HTTPMethod
  ) throws(RequestFailure) -> RequestTarget {
    let result = block.withUnsafeBytes { bytes -> Result<RequestTarget, RequestFailure> in
      Result { () throws(RequestFailure) in
        try RequestTarget.parse(UnsafeRawBufferPointer(rebasing: bytes[range]), method: method)
      }
    }
    return try result.get()
  }

  private mutating func readField(_ line: Range<Int>) throws(RequestFailure) {
    guard spans.count < HTTPLimits.fieldsMax else {
      throw .headersTooLarge("at most \(HTTPLimits.fieldsMax) header fields")
    }
    let located = block.withUnsafeBytes { FieldSyntax.locate($0, line) }
    switch located {
    case .failure(let error): throw .malformed(error.reason)
    case .success(let span):
      if spans.isEmpty { spans.reserveCapacity(12) }
      spans.append(span)
      try note(span)
    }
  }

  /// Keeps what decides about framing. Names are told apart by their length first.
  private mutating func note(_ span: HTTPFields.Span) throws(RequestFailure) {
    let name = Int(span.nameStart)..<Int(span.nameEnd)
    let value = Int(span.valueStart)..<Int(span.valueEnd)
    switch name.count {
    case 4 where isNamed(name, "host"): try noteHost(value)
    case 14 where isNamed(name, "content-length"): try noteLength(value)
    case 17 where isNamed(name, "transfer-encoding"):
      guard !isChunked, equal(value, "chunked") else {
        throw .malformed("Transfer-Encoding is anything but one chunked")
      }
      isChunked = true
    default: break
    }
  }

  private mutating func noteHost(_ value: Range<Int>) throws(RequestFailure) {
    hosts += 1
    guard hosts == 1 else { throw .malformed("Host is there more than once") }
    guard block[value].allSatisfy({ ByteSet.authority.contains($0) }) else {
      throw .malformed("Host is not a host and port")
    }
  }

  /// Digits only; a list (`3, 3`) is refused like a second field, since readers differ on both.
  private mutating func noteLength(_ value: Range<Int>) throws(RequestFailure) {
    guard contentLength == nil else {
      throw .malformed("Content-Length is there more than once")
    }
    guard !value.isEmpty, block[value].allSatisfy({ 0x30...0x39 ~= $0 }) else {
      throw .malformed("Content-Length is not a number")
    }
    // Longer than any number that fits is larger than any limit.
    contentLength = Int(String(decoding: block[value], as: UTF8.self)) ?? Int.max
  }

  private mutating func finish() throws(RequestFailure) -> RequestHead? {
    guard let line = requestLine else {
      preconditionFailure("a head cannot end before its request line")
    }
    guard hosts == 1 || line.minorVersion == 0 else { throw .malformed("Host is missing") }
    if isChunked {
      guard contentLength == nil else {
        throw .malformed("Content-Length and Transfer-Encoding are both there")
      }
      guard line.minorVersion > 0 else {
        throw .malformed("Transfer-Encoding is not for HTTP/1.0")
      }
    }
    let framing: BodyFraming =
      isChunked ? .chunked : contentLength.map { $0 == 0 ? .none : .length($0) } ?? .none
    let fields = HTTPFields(block: block, spans: spans)
    let wantsClose = fields.list("connection", contains: "close")
    let keepsAlive =
      line.minorVersion > 0 ? !wantsClose : fields.list("connection", contains: "keep-alive")
    let head = RequestHead(
      method: line.method, target: line.target, minorVersion: line.minorVersion, fields: fields,
      framing: framing, keepsAlive: keepsAlive && !wantsClose,
      expectsContinue: line.minorVersion > 0 && framing != .none
        && fields.list("expect", contains: "100-continue"),
      targetRange: line.targetRange)
    self = HeadParser()
    return head
  }

  private func isNamed(_ range: Range<Int>, _ lowercase: StaticString) -> Bool {
    equal(range, lowercase)
  }

  private func equal(_ range: Range<Int>, _ lowercase: StaticString) -> Bool {
    block.withUnsafeBytes {
      Byte.equal(UnsafeRawBufferPointer(rebasing: $0[range]), lowercase: lowercase)
    }
  }
}
