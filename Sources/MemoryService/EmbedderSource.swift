import Glibc

/// Which embedder a node uses (`memory.embedder`), and where static weights are looked for.
package struct EmbedderSource: Sendable {
  package enum Choice: Sendable, Hashable {
    /// The static one if its weights are there, else the hash one.
    case automatic
    case staticWeights
    case hash
  }

  package var choice: Choice
  /// Model directories, in the order they are searched (`.models`, `<data_dir>/models`).
  package var modelDirectories: [String]

  /// The two files as `make model` puts them down, or as the wheel has them.
  static let layouts: [(weights: String, tokenizer: String)] = [
    ("wordllama/l2_supercat_256.safetensors", "wordllama/l2_supercat_tokenizer_config.json"),
    (
      "wordllama/weights/l2_supercat_256.safetensors",
      "wordllama/tokenizers/l2_supercat_tokenizer_config.json"
    ),
  ]

  package init(choice: Choice, modelDirectories: [String]) {
    self.choice = choice
    self.modelDirectories = modelDirectories
  }

  /// Reads the value of `memory.embedder`; nil for one this node cannot make.
  package init?(setting: String, modelDirectories: [String]) {
    switch setting {
    case "auto": choice = .automatic
    case "static": choice = .staticWeights
    case "hash": choice = .hash
    default: return nil
    }
    self.modelDirectories = modelDirectories
  }

  /// Where the static weights are; nil without them.
  package var weights: (weights: String, tokenizer: String)? {
    for directory in modelDirectories {
      for layout in Self.layouts {
        let weights = "\(directory)/\(layout.weights)"
        let tokenizer = "\(directory)/\(layout.tokenizer)"
        if access(weights, R_OK) == 0, access(tokenizer, R_OK) == 0 {
          return (weights, tokenizer)
        }
      }
    }
    return nil
  }

  /// Makes the embedder: tens of milliseconds for the static one, so not on the loop.
  package func open() throws(MemoryError) -> any Embedder {
    if choice == .hash { return HashEmbedder() }
    if let weights {
      return try StaticEmbedder(
        weightsPath: weights.weights, tokenizerPath: weights.tokenizer)
    }
    guard choice == .automatic else {
      throw .embedderUnavailable(
        name: "static",
        remedy: "no weights in \(modelDirectories.joined(separator: ", ")); run `make model`, "
          + "or set memory.embedder = \"auto\"")
    }
    return HashEmbedder()
  }
}
