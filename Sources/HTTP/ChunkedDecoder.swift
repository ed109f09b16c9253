/// Why a chunked body cannot be read.
enum ChunkFailure: Error, Equatable {
  case malformed(String)
  case trailersTooLarge(String)
  case bodyTooLarge
}

/// Reads the chunked transfer coding (RFC 9112 section 7.1) from pieces split anywhere, for
/// requests and responses. Trailer fields are checked and dropped.
struct ChunkedDecoder {
  enum Event: Equatable {
    /// Part of the body, in the bytes given.
    case data(Range<Int>)
    case end
  }

  private enum State {
    case size(digits: Int)
    case sizeExtension
    case sizeLineFeed
    case data(remaining: Int)
    case dataReturn
    case dataLineFeed
    case trailer
  }

  /// A chunk size has at most 15 hexadecimal digits: it cannot overflow.
  private static let sizeDigitsMax = 15

  private var state = State.size(digits: 0)
  private var size = 0
  private var bodyBytes = 0
  private var extensionBytes = 0
  private var trailerLine: [UInt8] = []
  private var trailerBytes = 0
  private var trailerFields = 0
  /// All chunks together, in bytes.
  private let bytesMax: Int

  init(bytesMax: Int) { self.bytesMax = bytesMax }

  /// The next event at or after `offset`; nil when the bytes end before it.
  mutating func next(
    _ bytes: UnsafeRawBufferPointer, at offset: inout Int
  ) throws(ChunkFailure) -> Event? {
    while offset < bytes.count {
      switch state {
      case .data(let remaining):
        let end = min(bytes.count, offset + remaining)
        let range = offset..<end
        state = range.count == remaining ? .dataReturn : .data(remaining: remaining - range.count)
        offset = end
        return .data(range)
      case .trailer:
        if try readTrailer(bytes, &offset) { return .end }
      default:
        try step(bytes[offset])
        offset += 1
      }
    }
    return nil
  }

  private mutating func step(_ byte: UInt8) throws(ChunkFailure) {
    switch state {
    case .size(let digits): try readSize(byte, digits)
    case .sizeExtension: try readExtension(byte)
    case .sizeLineFeed:
      guard byte == Byte.lineFeed else { throw .malformed("a chunk size has no CRLF") }
      try beginChunk()
    case .dataReturn:
      guard byte == Byte.carriageReturn else { throw .malformed("a chunk is longer than its size") }
      state = .dataLineFeed
    case .dataLineFeed:
      guard byte == Byte.lineFeed else { throw .malformed("a chunk has no CRLF") }
      state = .size(digits: 0)
      size = 0
    case .data, .trailer:
      preconditionFailure("data and trailers are read in runs, not by the byte")
    }
  }

  private mutating func readSize(_ byte: UInt8, _ digits: Int) throws(ChunkFailure) {
    if let digit = Byte.hexDigit(byte) {
      guard digits < Self.sizeDigitsMax else {
        throw .malformed("a chunk size has too many digits")
      }
      size = size << 4 | digit
      state = .size(digits: digits + 1)
      return
    }
    guard digits > 0 else { throw .malformed("a chunk has no size") }
    switch byte {
    case Byte.carriageReturn: state = .sizeLineFeed
    case UInt8(ascii: ";"): state = .sizeExtension
    default: throw .malformed("a chunk size is not hexadecimal")
    }
  }

  private mutating func readExtension(_ byte: UInt8) throws(ChunkFailure) {
    if byte == Byte.carriageReturn {
      state = .sizeLineFeed
      return
    }
    extensionBytes += 1
    guard extensionBytes <= HTTPLimits.chunkExtensionBytesMax else {
      throw .malformed("chunk extensions are over \(HTTPLimits.chunkExtensionBytesMax) bytes")
    }
    guard byte >= 0x20 && byte != 0x7F || byte == Byte.tab else {
      throw .malformed("a chunk extension holds a control character")
    }
  }

  private mutating func beginChunk() throws(ChunkFailure) {
    guard size > 0 else {
      state = .trailer
      return
    }
    guard size <= bytesMax - bodyBytes else { throw .bodyTooLarge }
    bodyBytes += size
    state = .data(remaining: size)
  }

  /// True after the empty line that ends the trailers, and with them the body.
  private mutating func readTrailer(
    _ bytes: UnsafeRawBufferPointer, _ offset: inout Int
  ) throws(ChunkFailure) -> Bool {
    let lineFeed = Byte.firstIndex(of: Byte.lineFeed, in: bytes, from: offset, to: bytes.count)
    let end = lineFeed.map { $0 + 1 } ?? bytes.count
    trailerBytes += end - offset
    guard trailerBytes <= HTTPLimits.trailerBytesMax else {
      throw .trailersTooLarge("at most \(HTTPLimits.trailerBytesMax) bytes of trailer fields")
    }
    trailerLine.append(contentsOf: bytes[offset..<end])
    offset = end
    guard lineFeed != nil else { return false }
    let length = trailerLine.count - 2
    guard length >= 0, trailerLine[length] == Byte.carriageReturn else {
      throw .malformed("a line ends with LF alone")
    }
    if length == 0 { return true }
    try checkTrailer(length)
    trailerLine.removeAll(keepingCapacity: true)
    return false
  }

  private mutating func checkTrailer(_ length: Int) throws(ChunkFailure) {
    trailerFields += 1
    guard trailerFields <= HTTPLimits.fieldsMax else {
      throw .trailersTooLarge("at most \(HTTPLimits.fieldsMax) trailer fields")
    }
    let located = trailerLine.withUnsafeBytes { FieldSyntax.locate($0, 0..<length) }
    if case .failure(let error) = located { throw .malformed(error.reason) }
  }
}
