import Events
import MemoryService

/// Ten small documents and what is asked of them.
enum SampleKnowledge {
  static let documents: [Personality.Document] = [
    .init(
      path: "io_uring/submission-queue.md",
      text: """
        # The submission queue

        The submission queue of io_uring is a ring in memory that program and kernel share. It
        holds entries, each a description of one operation: its code, the descriptor, a buffer and
        a word of user data that comes back with the result.
        """),
    .init(
      path: "io_uring/completion-queue.md",
      text: """
        # The completion queue

        The kernel writes one completion for each finished operation: the user data of its entry
        and a result, negative for an error. The program advances the head when it has read them.
        """),
    .init(
      path: "hnsw/neighbours.md",
      text: """
        # Choosing neighbours

        When a node is inserted, HNSW takes the candidates a search found and keeps one as a
        neighbour only if it is nearer to the new node than to any neighbour kept before. Edges then
        point in different directions and clusters stay connected.
        """),
    .init(
      path: "hnsw/layers.md",
      text: """
        # Layers

        Each node is given a random highest layer; few reach far up. A search starts at the entry
        point in the top layer and descends greedily, so long distances cost few steps.
        """),
    .init(
      path: "iggy/consumer-groups.md",
      text: """
        # Consumer groups

        An Iggy consumer group shares the partitions of a topic among its members: each partition is
        read by one member at a time. When a member leaves, its partitions go to the others.
        """),
    .init(
      path: "iggy/segments.md",
      text: """
        # Segments

        A partition is a chain of files called segments. Messages are appended to the last; old
        segments are deleted when retention says so.
        """),
    .init(
      path: "swift/actors.md",
      text: """
        # Actors and executors

        A Swift actor runs its work on an executor, which takes jobs one after the other. An actor
        may name its own executor, for example an event loop; else it shares the global pool.
        """),
    .init(
      path: "swift/arc.md",
      text: """
        # Reference counting

        Swift counts references to class instances and frees an instance when the count reaches
        zero. Cycles leak unless one reference is weak.
        """),
    .init(
      path: "durability.md",
      text: """
        # Why fdatasync comes first

        A log that acknowledges before the data is on disk loses what it promised when power fails.
        So one fdatasync is done for a group of appends, and only then is the answer sent.
        """),
    .init(
      path: "sandbox.md",
      text: """
        # Tools in a jail

        A tool runs in bubblewrap without network, with an empty environment and a private /tmp. A
        wall clock limit kills the whole process tree.
        """),
  ]

  static let questions: [(question: String, document: String)] = [
    ("What does io_uring's submission queue hold?", "io_uring/submission-queue.md"),
    ("How does the kernel report a finished operation?", "io_uring/completion-queue.md"),
    ("How does HNSW choose neighbours?", "hnsw/neighbours.md"),
    ("Where does a search of the graph start?", "hnsw/layers.md"),
    ("What is an Iggy consumer group?", "iggy/consumer-groups.md"),
    ("When are old segments deleted?", "iggy/segments.md"),
    ("What is a Swift actor's executor?", "swift/actors.md"),
    ("How do reference cycles leak?", "swift/arc.md"),
    ("Why does a log call fdatasync before it acknowledges?", "durability.md"),
    ("Can a tool use the network?", "sandbox.md"),
  ]

  static func source(_ digest: String = "d1", chunkTokens: Int = 200) -> KnowledgeSource {
    KnowledgeSource(packDigest: digest, chunkTokens: chunkTokens) { documents }
  }
}
