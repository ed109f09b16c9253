/// One event of a stream. Its buffers are valid only while it is being handed over.
package struct SSEEvent {
  /// The event's type; empty when the stream named none (`message`).
  package let name: UnsafeRawBufferPointer
  package let data: UnsafeRawBufferPointer
  /// The last id the stream set, also by an earlier event; empty when none.
  package let id: UnsafeRawBufferPointer

  package var nameText: String { String(decoding: name, as: UTF8.self) }
  package var dataText: String { String(decoding: data, as: UTF8.self) }
  package var idText: String { String(decoding: id, as: UTF8.self) }
}

/// The stream breaks a limit of `SSEDecoder`.
package enum SSEFailure: Error, Equatable, Sendable, CustomStringConvertible {
  case lineTooLong(bytesMax: Int)
  case eventTooLong(bytesMax: Int)

  package var description: String {
    switch self {
    case .lineTooLong(let bytesMax): "a line of the stream has more than \(bytesMax) bytes"
    case .eventTooLong(let bytesMax): "an event of the stream has more than \(bytesMax) bytes"
    }
  }
}

/// Reads `text/event-stream` from pieces split anywhere. The data of an event that has one `data:`
/// line and lies in one piece, the normal case, is handed on without a copy. An event without its
/// blank line at the end of the stream is not an event.
package struct SSEDecoder {
  /// One line, in bytes. Vendors send at most some hundred KiB (a tool call's arguments).
  package static let lineBytesMax = 1 << 20
  /// All `data:` lines of one event, in bytes.
  package static let eventBytesMax = 4 << 20

  /// The beginning of a line whose end has not come yet.
  private var partial: [UInt8] = []
  private var name: [UInt8] = []
  private var lastID: [UInt8] = []
  /// `data:` lines so far that could not be left where they were.
  private var data: [UInt8] = []
  private var hasData = false
  /// The last piece ended with CR: an LF at the start of the next belongs to it.
  private var skipsLineFeed = false
  private var byteOrderMark = ByteOrderMark()
  /// What the server asks a client to wait before it connects again; nil until it does.
  package private(set) var retryMilliseconds: Int?

  package init() {}

  /// Hands on every event that ends in `bytes`. After a failure the decoder must not be used.
  package mutating func feed(
    _ bytes: UnsafeRawBufferPointer, _ onEvent: (SSEEvent) -> Void
  ) throws(SSEFailure) {
    guard !bytes.isEmpty else { return }
    var start = byteOrderMark.skip(bytes)
    if skipsLineFeed, start < bytes.count {
      skipsLineFeed = false
      if bytes[start] == Byte.lineFeed { start += 1 }
    }
    var lines = LineScanner(bytes, from: start)
    // Where the event's only data line lies in `bytes`.
    var inPlace: Range<Int>?
    while let line = lines.next() {
      try accept(bytes, line, &inPlace, onEvent)
    }
    skipsLineFeed = lines.endsWithReturn
    if let inPlace { data.append(contentsOf: bytes[inPlace]) }
    guard partial.count + bytes.count - lines.position <= Self.lineBytesMax else {
      throw .lineTooLong(bytesMax: Self.lineBytesMax)
    }
    partial.append(contentsOf: bytes[lines.position...])
  }

  private mutating func accept(
    _ bytes: UnsafeRawBufferPointer, _ line: Range<Int>, _ inPlace: inout Range<Int>?,
    _ onEvent: (SSEEvent) -> Void
  ) throws(SSEFailure) {
    guard partial.count + line.count <= Self.lineBytesMax else {
      throw .lineTooLong(bytesMax: Self.lineBytesMax)
    }
    guard partial.isEmpty else {
      partial.append(contentsOf: bytes[line])
      return try acceptPartial()
    }
    if line.isEmpty { return dispatch(bytes, &inPlace, onEvent) }
    try readField(bytes, line, &inPlace)
  }

  /// The line in `partial` has come to its end.
  private mutating func acceptPartial() throws(SSEFailure) {
    var line: [UInt8] = []
    swap(&line, &partial)
    let failure = line.withUnsafeBytes { bytes -> SSEFailure? in
      var inPlace: Range<Int>?
      do throws(SSEFailure) {
        try readField(bytes, 0..<bytes.count, &inPlace)
      } catch {
        return error
      }
      if let inPlace { data.append(contentsOf: bytes[inPlace]) }
      return nil
    }
    if let failure { throw failure }
    line.removeAll(keepingCapacity: true)
    swap(&line, &partial)
  }

  private mutating func readField(
    _ bytes: UnsafeRawBufferPointer, _ line: Range<Int>, _ inPlace: inout Range<Int>?
  ) throws(SSEFailure) {
    let colon = Byte.firstIndex(
      of: Byte.colon, in: bytes, from: line.lowerBound, to: line.upperBound)
    let field = UnsafeRawBufferPointer(
      rebasing: bytes[line.lowerBound..<(colon ?? line.upperBound)])
    var value = (colon.map { $0 + 1 } ?? line.upperBound)..<line.upperBound
    if !value.isEmpty, bytes[value.lowerBound] == Byte.space {
      value = value.lowerBound + 1..<value.upperBound
    }
    if field.elementsEqual("data".utf8) {
      try readData(bytes, value, &inPlace)
    } else if field.elementsEqual("event".utf8) {
      name.replaceSubrange(0..<name.count, with: bytes[value])
    } else if field.elementsEqual("id".utf8) {
      if !bytes[value].contains(0) { lastID.replaceSubrange(0..<lastID.count, with: bytes[value]) }
    } else if field.elementsEqual("retry".utf8) {
      let digits = String(decoding: bytes[value], as: UTF8.self)
      if digits.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), let wait = Int(digits) {
        retryMilliseconds = wait
      }
    }
  }

  private mutating func readData(
    _ bytes: UnsafeRawBufferPointer, _ value: Range<Int>, _ inPlace: inout Range<Int>?
  ) throws(SSEFailure) {
    guard data.count + (inPlace?.count ?? 0) + value.count < Self.eventBytesMax else {
      throw .eventTooLong(bytesMax: Self.eventBytesMax)
    }
    guard hasData else {
      hasData = true
      inPlace = value
      return
    }
    if let held = inPlace {
      data.append(contentsOf: bytes[held])
      inPlace = nil
    }
    data.append(Byte.lineFeed)
    data.append(contentsOf: bytes[value])
  }

  private mutating func dispatch(
    _ bytes: UnsafeRawBufferPointer, _ inPlace: inout Range<Int>?, _ onEvent: (SSEEvent) -> Void
  ) {
    if hasData {
      name.withUnsafeBytes { name in
        lastID.withUnsafeBytes { id in
          data.withUnsafeBytes { data in
            let whole = inPlace.map { UnsafeRawBufferPointer(rebasing: bytes[$0]) } ?? data
            onEvent(SSEEvent(name: name, data: whole, id: id))
          }
        }
      }
    }
    inPlace = nil
    hasData = false
    name.removeAll(keepingCapacity: true)
    data.removeAll(keepingCapacity: true)
  }
}

/// Finds lines that end in LF, CR or CRLF. Each byte is looked at once for each of the two.
private struct LineScanner {
  private let bytes: UnsafeRawBufferPointer
  /// Start of the line that is looked for next.
  private(set) var position: Int
  /// The last line found ended with the CR that is the last byte.
  private(set) var endsWithReturn = false
  /// The next LF at or after `position`; the end when there is none.
  private var lineFeed: Int
  /// The next CR, likewise.
  private var carriageReturn: Int

  init(_ bytes: UnsafeRawBufferPointer, from start: Int) {
    self.bytes = bytes
    position = start
    lineFeed = start - 1
    carriageReturn = start - 1
  }

  mutating func next() -> Range<Int>? {
    if lineFeed < position { lineFeed = find(Byte.lineFeed) }
    if carriageReturn < position { carriageReturn = find(Byte.carriageReturn) }
    let end = min(lineFeed, carriageReturn)
    guard end < bytes.count else { return nil }
    let line = position..<end
    position = end + 1
    if end == carriageReturn {
      if position == bytes.count {
        endsWithReturn = true
      } else if position == lineFeed {
        position += 1
      }
    }
    return line
  }

  private func find(_ byte: UInt8) -> Int {
    Byte.firstIndex(of: byte, in: bytes, from: position, to: bytes.count) ?? bytes.count
  }
}

/// Drops one UTF-8 byte order mark at the start of a stream, also when it comes in pieces (and the
/// beginning of one that is none: such a stream is broken anyway).
private struct ByteOrderMark {
  private static let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
  private var matched = 0
  private var isOver = false

  /// Position of the first byte that belongs to the stream.
  mutating func skip(_ bytes: UnsafeRawBufferPointer) -> Int {
    var at = 0
    while !isOver, at < bytes.count {
      guard bytes[at] == Self.mark[matched] else {
        isOver = true
        break
      }
      matched += 1
      at += 1
      isOver = matched == Self.mark.count
    }
    return at
  }
}
