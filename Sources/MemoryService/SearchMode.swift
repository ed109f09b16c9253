/// What a question is compared by (`memory.search`).
package enum SearchMode: String, Sendable, Hashable, CaseIterable {
  /// By meaning and by words, the two ranks fused.
  case hybrid
  /// By the vectors alone.
  case vector
  /// By the words alone.
  case text
}
