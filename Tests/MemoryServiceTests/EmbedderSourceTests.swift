import MemoryService
import TestSupport
import Testing

// Contract: `auto` takes the static weights where they are, in either layout, and the hash
// embedder else; `static` insists; other names are not known here.

@Suite struct EmbedderSourceTests {
  private let directory = TemporaryDirectory("memory")

  @Test func settings() {
    for (setting, choice): (String, EmbedderSource.Choice) in [
      ("auto", .automatic), ("static", .staticWeights), ("hash", .hash),
    ] {
      #expect(EmbedderSource(setting: setting, modelDirectories: [])?.choice == choice)
    }
    #expect(EmbedderSource(setting: "openai/text", modelDirectories: []) == nil)
  }

  @Test func automaticTakesWhatIsThere() throws {
    let source = EmbedderSource(
      choice: .automatic, modelDirectories: ["/nonexistent", directory.path])
    #expect(try source.open().id == "hash-1")
    directory.makeDirectory("wordllama")
    directory.write(TinyModel.weights(), "wordllama/l2_supercat_256.safetensors")
    #expect(try source.open().id == "hash-1")
    directory.write(TinyModel.tokenizer(), "wordllama/l2_supercat_tokenizer_config.json")
    #expect(try source.open().id == "static-1:l2_supercat_256")
    // Weights that are there and damaged are an error, not a silent change of embedder.
    directory.write([1, 2, 3], "wordllama/l2_supercat_256.safetensors")
    #expect(throws: MemoryError.self) { try source.open() }
    #expect(
      try EmbedderSource(choice: .hash, modelDirectories: [directory.path]).open().id == "hash-1")
  }
}
