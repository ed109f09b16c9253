import Base
import Events

/// The field `user_message`: a text, or parts of which only text ones are built.
enum UserMessage {
  /// Between the texts of parts.
  private static let partSeparator = "\n"
  private static let pointer = "/user_message"

  static func text(of value: JSON?) throws(Problem) -> String {
    guard let value else {
      throw Problem(.fieldMissing, "the message to answer is missing", pointer: pointer)
    }
    switch value {
    case .string(let text):
      guard !text.isEmpty else {
        throw Problem(.fieldInvalid, "the message is empty", pointer: pointer)
      }
      return text
    case .array(let parts): return try text(ofParts: parts)
    default:
      throw Problem(
        .fieldInvalid, "expected a string or an array of parts, not \(value.typeName)",
        pointer: pointer)
    }
  }

  private static func text(ofParts parts: [JSON]) throws(Problem) -> String {
    guard (1...TurnRequestDecoder.partsMax).contains(parts.count) else {
      throw Problem(
        .fieldInvalid, "expected 1 to \(TurnRequestDecoder.partsMax) parts", pointer: pointer)
    }
    var texts: [String] = []
    for (index, part) in parts.enumerated() {
      texts.append(try text(ofPart: part, at: "\(pointer)/\(index)"))
    }
    return texts.joined(separator: partSeparator)
  }

  private static func text(ofPart part: JSON, at pointer: String) throws(Problem) -> String {
    guard case .object(let object) = part else {
      throw Problem(
        .fieldInvalid, "a part is an object, not \(part.typeName)", pointer: pointer)
    }
    try checkType(object["type"], at: pointer + "/type")
    for name in object.names where name != "type" && name != "text" {
      throw Problem(
        .fieldUnknown, "a text part has the fields 'type' and 'text'",
        pointer: "\(pointer)/\(JSONPointer.escape(name))")
    }
    guard let text = object["text"] else {
      throw Problem(.fieldMissing, "the part has no text", pointer: pointer + "/text")
    }
    guard let text = text.string, !text.isEmpty else {
      throw Problem(
        .fieldInvalid, "expected a string that is not empty", pointer: pointer + "/text")
    }
    return text
  }

  private static func checkType(_ type: JSON?, at pointer: String) throws(Problem) {
    guard let type else {
      throw Problem(.fieldMissing, "the part does not say its type", pointer: pointer)
    }
    switch type.string {
    case "text": return
    case "image", "file_ref":
      throw Problem(
        .fieldUnsupported, "parts other than text are not in this version", pointer: pointer)
    default:
      throw Problem(.fieldInvalid, "expected \"text\"", pointer: pointer)
    }
  }
}
