/// Cuts Markdown and plain text into pieces: at headings, then between paragraphs, and inside a
/// paragraph only when it alone is too long. Pieces never overlap and leave out nothing but
/// heading lines and space around them.
package struct Chunker: Sendable {
  /// Part of an index's name (SEMANTICS D31): another cut is another version.
  package static let version = "markdown-1"
  /// Sizes that make sense: below, pieces have no context; above, they fill a prompt.
  package static let tokensRange = 16...8_192

  /// Tokens of a piece, estimated (`estimatedTokens`).
  package let tokensMax: Int

  package init(tokensMax: Int) {
    self.tokensMax = min(max(tokensMax, Self.tokensRange.lowerBound), Self.tokensRange.upperBound)
  }

  package func chunks(of text: String, document: String) -> [KnowledgeChunk] {
    var chunks: [KnowledgeChunk] = []
    for section in MarkdownSections(text).sections {
      for piece in pieces(of: section.paragraphs) {
        chunks.append(KnowledgeChunk(document: document, heading: section.heading, text: piece))
      }
    }
    return chunks
  }

  /// One for each word and one more for each four bytes beyond the first four: near what
  /// byte-pair encodings make of English, and not far off for text without spaces.
  package static func estimatedTokens(_ text: some StringProtocol) -> Int {
    var tokens = 0
    var run = 0
    for byte in text.utf8 {
      if byte <= 0x20 {
        run = 0
      } else {
        if run % 4 == 0 { tokens += 1 }
        run += 1
      }
    }
    return tokens
  }

  /// Whole paragraphs together while they fit; what is too long alone is cut.
  private func pieces(of paragraphs: [String]) -> [String] {
    var pieces: [String] = []
    var current = ""
    var tokens = 0
    let parts = paragraphs.flatMap { paragraph in
      Self.estimatedTokens(paragraph) <= tokensMax ? [paragraph] : cut(paragraph)
    }
    for part in parts {
      let partTokens = Self.estimatedTokens(part)
      if !current.isEmpty, tokens + partTokens > tokensMax {
        pieces.append(current)
        current = ""
        tokens = 0
      }
      current += current.isEmpty ? part : "\n\n" + part
      tokens += partTokens
    }
    if !current.isEmpty { pieces.append(current) }
    return pieces
  }

  /// At the ends of sentences where possible, else between words, else inside a run of letters.
  private func cut(_ paragraph: String) -> [String] {
    var pieces: [String] = []
    var rest = paragraph[...]
    while !rest.isEmpty {
      let end = cutPoint(rest)
      let piece = rest[..<end].trimmed
      if !piece.isEmpty { pieces.append(String(piece)) }
      rest = rest[end...]
    }
    return pieces
  }

  /// The last good place to end a piece of `text` within the limit; always beyond its start.
  private func cutPoint(_ text: Substring) -> Substring.Index {
    var tokens = 0
    var run = 0
    var sentenceEnd: Substring.Index?
    var wordEnd: Substring.Index?
    var previous: Unicode.Scalar = " "
    let scalars = text.unicodeScalars
    for index in scalars.indices {
      let scalar = scalars[index]
      if scalar.value <= 0x20 {
        wordEnd = index
        if ".!?:".unicodeScalars.contains(previous) || scalar == "\n" { sentenceEnd = index }
        run = 0
      } else {
        let width = UTF8.width(scalar)
        tokens += (run + width + 3) / 4 - (run + 3) / 4
        run += width
      }
      if tokens > tokensMax, index > text.startIndex {
        return [sentenceEnd, wordEnd].compactMap { $0 }.first { $0 > text.startIndex } ?? index
      }
      previous = scalar
    }
    return text.endIndex
  }
}

/// The paragraphs under each heading of a Markdown text.
private struct MarkdownSections {
  struct Section {
    var heading: String?
    var paragraphs: [String] = []
  }

  private(set) var sections: [Section] = []
  private var headings: [(level: Int, title: String)] = []
  private var paragraph: [Substring] = []
  /// The fence that ends the code block we are in.
  private var fence: Substring?

  init(_ text: String) {
    sections = [Section()]
    // "\r\n" is one Character: isNewline splits at either.
    for line in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
      take(line)
    }
    endParagraph()
    sections.removeAll { $0.paragraphs.isEmpty }
  }

  private mutating func take(_ line: Substring) {
    let content = line.trimmed
    if let fence {
      paragraph.append(line)
      if content.hasPrefix(fence), content.allSatisfy({ $0 == fence.first }) { self.fence = nil }
    } else if content.hasPrefix("```") || content.hasPrefix("~~~") {
      fence = content.prefix { $0 == content.first }
      paragraph.append(line)
    } else if content.isEmpty {
      endParagraph()
    } else if let (level, title) = Self.heading(line) {
      endParagraph()
      headings.removeAll { $0.level >= level }
      headings.append((level, title))
      sections.append(Section(heading: headings.map(\.title).joined(separator: " › ")))
    } else {
      paragraph.append(line)
    }
  }

  private mutating func endParagraph() {
    let text = paragraph.joined(separator: "\n")[...].trimmed
    if !text.isEmpty { sections[sections.count - 1].paragraphs.append(String(text)) }
    paragraph.removeAll()
  }

  /// CommonMark 4.2: one to six `#`, at most three spaces before, one after.
  private static func heading(_ line: Substring) -> (level: Int, title: String)? {
    let indented = line.prefix { $0 == " " }
    let marks = line.dropFirst(indented.count).prefix { $0 == "#" }
    let rest = line[marks.endIndex...]
    guard indented.count <= 3, (1...6).contains(marks.count),
      rest.first == " " || rest.first == "\t"
    else { return nil }
    var title = rest.trimmed
    while title.last == "#" { title.removeLast() }
    title = title.trimmed
    return title.isEmpty ? nil : (marks.count, String(title))
  }
}

extension Substring {
  fileprivate var trimmed: Substring {
    var text = self
    while let first = text.first, first.isWhitespace { text.removeFirst() }
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return text
  }
}
