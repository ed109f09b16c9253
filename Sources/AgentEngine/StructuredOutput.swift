import Base
import Events

/// Whether an answer is the JSON that `response_schema` asks for.
enum StructuredOutput {
  enum Check {
    case fits(JSON)
    /// In words that help the model to repair it.
    case violates(String)
  }

  /// Violations that are told to the model at once.
  private static let violationsMax = 8

  static func check(_ answer: String, against schema: JSON) -> Check {
    let text = withoutFence(answer)
    let value: JSON
    do throws(JSONError) {
      value = try JSON(parsing: text)
    } catch {
      return .violates("the answer is not JSON: \(error)")
    }
    guard let compiled = try? JSONSchema(schema) else {
      return .violates("the response schema cannot be compiled")
    }
    let violations = compiled.violations(of: value, limit: violationsMax)
    guard !violations.isEmpty else { return .fits(value) }
    let list = violations.map { "\($0.pointer.isEmpty ? "the value" : $0.pointer): \($0.message)" }
    return .violates("the answer does not fit the schema: " + list.joined(separator: "; "))
  }

  /// Models like to put JSON into one Markdown code fence; exactly one enclosing fence is taken off.
  static func withoutFence(_ answer: String) -> String {
    let text = trimmed(answer[...])
    guard text.hasPrefix("```"), text.hasSuffix("```"), text.utf8.count >= 6 else {
      return String(text)
    }
    // The language's name, on the fence's own line or before the value.
    let body = text.dropFirst(3).dropLast(3).drop { $0.isLetter || $0.isNumber }
    return body.contains("```") ? String(text) : String(trimmed(body))
  }

  private static func trimmed(_ text: Substring) -> Substring {
    var text = text.drop { $0.isWhitespace }
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return text
  }
}
