package import Base

/// Why bytes from outside are no envelope: what is wrong, where, and what to do about it.
package struct EnvelopeError: Error, Hashable, Sendable, CustomStringConvertible {
  package enum Kind: Hashable, Sendable {
    /// Longer than this many bytes.
    case tooLarge(Int)
    /// Not one JSON text.
    case malformed(JSONError)
    /// JSON, but no object.
    case noObject
    case fieldMissing
    case fieldRepeated
    /// The name of a field of the envelope, written with escapes: readers that compare bytes would
    /// not see it.
    case nameEscaped
    /// Another value than the one described.
    case fieldInvalid(expected: String)
  }

  package var kind: Kind
  /// RFC 6901; a missing field is named itself.
  package var pointer: String

  package init(_ kind: Kind, pointer: String = "") {
    self.kind = kind
    self.pointer = pointer
  }

  package var description: String {
    switch kind {
    case .tooLarge(let limit):
      "the event is longer than \(limit) bytes; put its payload into a blob and name that"
    case .malformed(let error): "the event is no JSON: \(error); send RFC 8259 text in UTF-8"
    case .noObject: "the event is no JSON object; send an envelope with its payload inside"
    case .fieldMissing: "\(pointer) is missing; every envelope has it"
    case .fieldRepeated: "\(pointer) is given twice; send it once"
    case .nameEscaped: "the name of \(pointer) is written with escapes; write it plainly"
    case .fieldInvalid(let expected): "\(pointer): expected \(expected)"
    }
  }
}
