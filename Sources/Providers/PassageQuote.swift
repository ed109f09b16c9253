/// Picks the part of a passage that says most about a question.
enum PassageQuote {
  /// Sentences quoted together: one alone often lacks what "it" refers to.
  static let sentencesMax = 3
  /// Characters of one quote; a longer one ends with an ellipsis.
  static let charactersMax = 600
  /// Shorter words are in every sentence.
  private static let wordLengthMin = 4

  /// Adjacent sentences of `text`, on one line, that share most words with `question`.
  static func best(of text: String, for question: String) -> String {
    let sentences = sentences(of: text)
    guard sentences.count > sentencesMax else { return shortened(sentences) }
    let wanted = words(of: question)
    let scores = sentences.map { words(of: $0).intersection(wanted).count }
    var bestStart = 0
    var bestScore = -1
    for start in 0...(sentences.count - sentencesMax) {
      let score = scores[start..<start + sentencesMax].reduce(0, +)
      if score > bestScore {
        bestScore = score
        bestStart = start
      }
    }
    return shortened(Array(sentences[bestStart..<bestStart + sentencesMax]))
  }

  private static func sentences(of text: String) -> [String] {
    var out: [String] = []
    var current = ""
    for word in text.split(whereSeparator: \.isWhitespace) {
      current += current.isEmpty ? String(word) : " \(word)"
      if let last = word.last, ".!?:".contains(last) {
        out.append(current)
        current = ""
      }
    }
    if !current.isEmpty { out.append(current) }
    return out
  }

  private static func words(of text: String) -> Set<String> {
    let parts = text.lowercased().split { !$0.isLetter && !$0.isNumber }
    return Set(parts.filter { $0.count >= wordLengthMin }.map(String.init))
  }

  private static func shortened(_ sentences: [String]) -> String {
    let text = sentences.joined(separator: " ")
    guard text.count > charactersMax else { return text }
    return text.prefix(charactersMax) + "…"
  }
}
