import Base

/// A piece of a document, small enough for a prompt.
package struct KnowledgeChunk: Sendable, Hashable {
  /// Path inside the pack's `knowledge/`.
  package var document: String
  /// The headings above the piece, outermost first, joined by ` › `; nil before the first.
  package var heading: String?
  /// As it stands in the document.
  package var text: String

  package init(document: String, heading: String?, text: String) {
    self.document = document
    self.heading = heading
    self.text = text
  }

  /// SHA-256 of document, heading and text, separated by zero bytes: hexadecimal.
  package var id: String {
    SHA256Digest(of: "\(document)\0\(heading ?? "")\0\(text)").description
  }

  /// What is embedded: a piece is found by the words of its headings too.
  var embeddedText: String { heading.map { "\($0)\n\(text)" } ?? text }

  /// What words are counted in: file names often carry the subject.
  var lexicalText: String { "\(document)\n\(embeddedText)" }
}
