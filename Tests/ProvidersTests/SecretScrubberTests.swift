// Contract: what looks like a credential never survives; what people need to read does.
import Providers
import Testing

@Suite struct SecretScrubberTests {
  @Test(arguments: [
    "scripted failure sk-SECRETLEAK", "Incorrect API key provided: sk-proj-SECRETLEAK-x_y.",
    "Bearer SECRETLEAK", "Authorization: Bearer SECRETLEAK", "authorization:SECRETLEAK!",
    "url https://h/v1?api_key=SECRETLEAK&x=1", "key=SECRETLEAK", "gsk_SECRETLEAK0",
    "AIzaSECRETLEAK0", "xai-SECRETLEAK", "hf_SECRETLEAK", "ghp_SECRETLEAK", "xoxb-SECRETLEAK",
    "eyJSECRETLEAK.e30.x", "token 0123456789abcdefSECRETLEAK0123456789",
    "\"sk-SECRETLEAK\"", "(sk-SECRETLEAK)", "sk-SECRETLEAK\n", "x=sk-SECRETLEAK",
    "A1SECRETLEAKbcdefghijklmnopqrs", "secret aaaa-SECRETLEAK-bbbb",
  ])
  func keysAreRemoved(_ text: String) {
    let scrubber = SecretScrubber(secrets: ["aaaa-SECRETLEAK-bbbb"])
    let scrubbed = scrubber.scrub(text)
    #expect(!scrubbed.contains("SECRETLEAK"))
    #expect(scrubbed.contains(SecretScrubber.mark))
  }

  @Test(arguments: [
    "scripted failure", "The model `gpt-4.1-mini-2025-04-14` does not exist",
    "maximum context length is 8192 tokens, however you requested 12345",
    "claude-3-5-sonnet-20241022", "meta-llama/Llama-3.3-70B-Instruct-Turbo",
    "req_1b2c3d4e5f", "123e4567-e89b-12d3-a456-426614174000", "pip install scikit-learn",
    "Invalid value for 'response_format.json_schema.schema'", "naïve 東京 🦊",
    "an internationalisation configuration", "",
  ])
  func wordsAreKept(_ text: String) {
    #expect(SecretScrubber().scrub(text) == text)
  }

  @Test func shortSecretsDoNotBlankOutWords() {
    #expect(SecretScrubber(secrets: ["", "x"]).scrub("text x") == "text x")
  }

  @Test func longTextIsCutBetweenCharacters() {
    let text = String(repeating: "🦊 ", count: 1_000)
    let scrubbed = SecretScrubber().scrub(text)
    #expect(scrubbed.utf8.count <= SecretScrubber.textBytesMax + 3)
    #expect(scrubbed.hasSuffix("…"))
    #expect(!scrubbed.contains("\u{FFFD}"))
  }
}
