extension RagCorpus {
  /// A few passages and questions, so that the command works without data. What it prints for them
  /// says that retrieval works, not how well.
  static let builtIn: RagCorpus = {
    let passages = [
      (
        "ring",
        "A submission queue hands requests to the kernel, and a completion queue brings "
          + "their results back, so that many system calls become one."
      ),
      (
        "durability",
        "A write is safe when fdatasync has returned. A log that acknowledges before "
          + "that can lose what it promised when the power fails."
      ),
      (
        "hnsw",
        "A navigable small-world graph finds near neighbours by walking from row to row, "
          + "each step to one that is closer to the query."
      ),
      (
        "bm25",
        "Words that are rare in the collection weigh more than common ones, and a term "
          + "that is repeated counts less each time."
      ),
      (
        "sandbox",
        "Tools of others run in a jail without network and with limits on memory and "
          + "time, or they do not run at all."
      ),
      (
        "retry",
        "A call that failed is made again after a pause that doubles, with jitter, unless "
          + "its error says that it will never succeed."
      ),
      (
        "unicode",
        "A character may take several code points; comparing text by bytes needs both "
          + "sides in one normal form."
      ),
      (
        "clock",
        "Wall time may jump when somebody sets it; intervals are measured with a clock "
          + "that only grows."
      ),
    ]
    let questions = [
      ("When may a log acknowledge a write?", "durability"),
      ("How does a graph find near neighbours?", "hnsw"),
      ("Why do rare words count more?", "bm25"),
      ("What happens to tools without a jail?", "sandbox"),
      ("How many system calls does the kernel take at once?", "ring"),
      ("Which clock measures intervals?", "clock"),
      ("When is a failed call made again?", "retry"),
    ]
    return RagCorpus(
      documents: passages.map { Document(id: $0.0, text: $0.1) },
      queries: questions.enumerated().map { Document(id: "\($0.offset)", text: $0.element.0) },
      judgements: Dictionary(
        uniqueKeysWithValues: questions.enumerated().map {
          ("\($0.offset)", [$0.element.1: 1])
        }))
  }()
}
