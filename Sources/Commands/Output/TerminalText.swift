/// Text of others on a person's terminal. A model or a document could otherwise move the cursor,
/// retitle the window, or hide what stands there.
enum TerminalText {
  /// `text` with control characters shown as U+FFFD; line ends and tabs stay.
  static func safe(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: isControl) else { return text }
    var safe = String.UnicodeScalarView()
    for scalar in text.unicodeScalars { safe.append(isControl(scalar) ? "\u{FFFD}" : scalar) }
    return String(safe)
  }

  private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x0A, 0x09: false
    case ..<0x20, 0x7F..<0xA0: true
    default: false
    }
  }
}
