import Glibc

/// Makes a new pack that works as it stands (`kfm packs new NAME`).
package enum PackScaffold {
  /// Writes the folder `NAME` inside `directory` and returns its path. Nothing is overwritten.
  package static func create(_ name: String, in directory: String) throws(PackFailure) -> String {
    guard PackManifest.isName(name) else {
      throw failure(
        name, "no name for a pack; expected a-z, 0-9 and '-', beginning with a letter, at most 64")
    }
    let path = "\(directory)/\(name)"
    guard mkdir(directory, 0o755) == 0 || errno == EEXIST else {
      throw failure(directory, String(cString: strerror(errno)))
    }
    guard mkdir(path, 0o755) == 0 else {
      throw failure(
        path, errno == EEXIST ? "exists already; expected a new name" : reason)
    }
    guard mkdir("\(path)/knowledge", 0o755) == 0 else {
      throw failure("\(path)/knowledge", reason)
    }
    for (file, text) in files(name) { try write(text, to: "\(path)/\(file)") }
    return path
  }

  private static func files(_ name: String) -> [(String, String)] {
    [
      (PackLoader.manifestName, manifest(name)), ("prompt.md", prompt),
      ("knowledge/about.md", about(name)),
    ]
  }

  private static func manifest(_ name: String) -> String {
    """
    # A personality pack; every key is explained in docs/surface.md. Check it with
    # `kfm packs validate DIR`, then restart the node.
    name: \(name) # the folder's name, and the personality_id of requests
    version: 0.1.0
    description: A new personality.

    # direct: one answer. react: the model may call tools in between.
    planner: direct

    # What the model is told before every conversation.
    system_prompt: prompt.md

    llm:
      route: default
      temperature: 0.2
      max_output_tokens: 512

    # Documents that answers are grounded on: passages that fit a question go into the prompt.
    knowledge:
      include: ["**/*.md"]
      top_k: 4

    # With `planner: react`, programs of this pack that the model may call. They run in a jail:
    # the pack read-only at /pack, no network; arguments are JSON on standard input.
    # tools:
    #   - name: word_count
    #     kind: process
    #     description: Counts the words of a text.
    #     command: [tools/word-count]
    #     effect: read
    #     timeout: 5s
    #     input_schema:
    #       type: object
    #       properties:
    #         text: { type: string }
    #       required: [text]

    """
  }

  private static let prompt = """
    You are a helpful assistant. Answer briefly and plainly. Where the passages you are given
    contain the answer, use them and say which document it is from; where they do not, say so.

    """

  private static func about(_ name: String) -> String {
    """
    # About \(name)

    This is the first document of the pack \(name). Replace it with what the personality should
    know: one topic a file, headings where the topic changes. Every Markdown file in this folder,
    also in folders inside it, is read when the node starts.

    """
  }

  private static func write(_ text: String, to path: String) throws(PackFailure) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw failure(path, reason) }
    defer { close(descriptor) }
    var bytes = ArraySlice(text.utf8)
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw failure(path, reason) }
      bytes = bytes.dropFirst(count)
    }
  }

  private static var reason: String { String(cString: strerror(errno)) }

  private static func failure(_ file: String, _ text: String) -> PackFailure {
    PackFailure([PackIssue(file: file, line: 0, key: "", text: text)])
  }
}
