import Base
import CJSON

/// The check of everything that comes from outside and says it is an event.
package enum Envelope {
  /// Longer events are refused unread.
  package static let bytesMax = 8 << 20

  /// Checks the whole text, payload included: strictly RFC 8259 in UTF-8, at most 64 containers
  /// deep, no number beyond a double, no lone surrogate; and the envelope's own fields as
  /// CommonEventEnvelope-v1 has them, each at most once and its name written plainly. Unknown
  /// members are taken (SEMANTICS D39), and the payload may be any value: what it must be is up to
  /// the event's type.
  ///
  /// Nothing is built and nothing allocated while all is well. Linear in the bytes.
  package static func validate(_ bytes: UnsafeRawBufferPointer) throws(EnvelopeError) {
    guard bytes.count <= bytesMax else { throw EnvelopeError(.tooLarge(bytesMax)) }
    do throws(JSONError) { try JSONText.validate(bytes) } catch {
      throw EnvelopeError(.malformed(error), pointer: error.pointer)
    }
    var found = cjson_found()
    guard EnvelopeField.names.find(in: bytes, &found) else { throw EnvelopeError(.noObject) }
    let count = try checkFields(bytes, &found)
    // Each name of the envelope once, and no other name at all: nothing more can be wrong.
    guard count != found.named || found.others != 0 else { return }
    try checkNames(bytes)
  }

  /// Whether `validate` takes the bytes.
  package static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
    do throws(EnvelopeError) { try validate(bytes) } catch { return false }
    return true
  }

  /// Checks the fields that are there, and that those are there that must be. Returns their number.
  private static func checkFields(
    _ bytes: UnsafeRawBufferPointer, _ found: inout cjson_found
  ) throws(EnvelopeError) -> UInt32 {
    let (present, wrong, count) = withUnsafeBytes(of: &found.at) { raw in
      let ranges = raw.assumingMemoryBound(to: cjson_range.self)
      var (present, count) = (UInt32(), UInt32())
      var wrong: EnvelopeField?
      for index in 0..<EnvelopeField.count where ranges[index].end != 0 {
        present |= 1 << UInt32(index)
        count += 1
        let field = EnvelopeField(rawValue: UInt8(index))!
        if wrong == nil, !field.accepts(bytes, Range(ranges[index])) { wrong = field }
      }
      return (present, wrong, count)
    }
    if let wrong {
      throw EnvelopeError(.fieldInvalid(expected: wrong.expectation), pointer: wrong.pointer)
    }
    let missing = EnvelopeField.required(beside: present) & ~present
    if missing != 0 {
      let field = EnvelopeField(rawValue: UInt8(missing.trailingZeroBitCount))!
      throw EnvelopeError(.fieldMissing, pointer: field.pointer)
    }
    return count
  }

  /// Looks at every name of the outermost object: the slower way, for envelopes with strangers.
  private static func checkNames(_ bytes: UnsafeRawBufferPointer) throws(EnvelopeError) {
    let scanner = JSONScanner(bytes)
    var seen: UInt32 = 0
    var fault: EnvelopeError?
    scanner.members(in: 0..<bytes.count) { name, _ in
      let isEscaped = bytes[name].contains(UInt8(ascii: "\\"))
      guard isEscaped || name.count <= EnvelopeField.nameBytesMax,
        let text = scanner.string(name.lowerBound - 1..<name.upperBound + 1),
        let field = EnvelopeField(name: text)
      else { return true }
      let bit = UInt32(1) << UInt32(field.rawValue)
      if isEscaped {
        fault = EnvelopeError(.nameEscaped, pointer: field.pointer)
      } else if seen & bit != 0 {
        fault = EnvelopeError(.fieldRepeated, pointer: field.pointer)
      }
      seen |= bit
      return fault == nil
    }
    if let fault { throw fault }
  }
}
