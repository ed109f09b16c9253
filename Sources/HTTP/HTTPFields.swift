/// One header field to be sent.
package struct HTTPField: Hashable, Sendable {
  package var name: String
  package var value: String

  package init(_ name: String, _ value: String) {
    self.name = name
    self.value = value
  }
}

/// The header fields of a message that was read: one block of bytes as it came from the wire, and
/// where in it each field stands. Two allocations for any number of fields; text is made only for
/// what is asked for.
package struct HTTPFields: Sendable {
  /// Positions in the block. 32 bits are enough: a block is at most `HTTPLimits.headBytesMax`.
  struct Span: Sendable {
    var nameStart: UInt32
    var nameEnd: UInt32
    var valueStart: UInt32
    var valueEnd: UInt32
  }

  let block: [UInt8]
  let spans: [Span]

  init(block: [UInt8], spans: [Span]) {
    self.block = block
    self.spans = spans
  }

  package static let empty = HTTPFields(block: [], spans: [])

  package var count: Int { spans.count }

  /// The value of the first field of that name, whatever its case; nil when there is none. Bytes
  /// that are not UTF-8 become U+FFFD.
  package subscript(name: StaticString) -> String? {
    firstIndex(name).map { value(at: $0) }
  }

  /// The values of all fields of that name, in their order.
  package func values(_ name: StaticString) -> [String] {
    spans.indices.filter { isNamed(name, at: $0) }.map { value(at: $0) }
  }

  package func contains(_ name: StaticString) -> Bool { firstIndex(name) != nil }

  /// True when the comma-separated list of that name holds `element` (given in lower case).
  package func list(_ name: StaticString, contains element: StaticString) -> Bool {
    for index in spans.indices where isNamed(name, at: index) {
      let found = withValue(at: index) { FieldSyntax.list($0, contains: element) }
      if found { return true }
    }
    return false
  }

  /// Every field, as it was sent.
  package func all() -> [HTTPField] {
    spans.indices.map { index in
      HTTPField(text(spans[index].nameStart, spans[index].nameEnd), value(at: index))
    }
  }

  private func firstIndex(_ name: StaticString) -> Int? {
    for index in spans.indices where isNamed(name, at: index) { return index }
    return nil
  }

  private func isNamed(_ name: StaticString, at index: Int) -> Bool {
    let span = spans[index]
    let length = Int(span.nameEnd - span.nameStart)
    guard length == name.utf8CodeUnitCount else { return false }
    let wanted = name.utf8Start
    for offset in 0..<length
    where Byte.lowercased(block[Int(span.nameStart) + offset]) != Byte.lowercased(wanted[offset]) {
      return false
    }
    return true
  }

  private func withValue<Result>(
    at index: Int, _ body: (UnsafeRawBufferPointer) -> Result
  ) -> Result {
    block.withUnsafeBytes { bytes in
      let span = spans[index]
      return body(
        UnsafeRawBufferPointer(rebasing: bytes[Int(span.valueStart)..<Int(span.valueEnd)]))
    }
  }

  private func value(at index: Int) -> String {
    text(spans[index].valueStart, spans[index].valueEnd)
  }

  private func text(_ start: UInt32, _ end: UInt32) -> String {
    String(decoding: block[Int(start)..<Int(end)], as: UTF8.self)
  }
}
