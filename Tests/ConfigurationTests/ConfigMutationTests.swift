// Contract: no file, however damaged, makes the loader trap or apply a part of itself; what is
// wrong is said with the file's name, and with a line unless the file as a whole is meant.
// Not shown: that a damaged file which loads means what its author meant.
import Base
import Configuration
import Testing

@Suite struct ConfigMutationTests {
  static let good = """
    config_version = 1
    [node]
    id = "n1"
    drain_timeout = "10s"
    [http]
    listen = "127.0.0.1:0"
    allowed_hosts = ["localhost", "127.0.0.1"]
    body_max = "4MiB"
    [bus]
    partitions = 16
    embedded.listen = ""
    [engine]
    queue_max = 16
    step_timeout = "5m"
    [[providers]]
    name = "p"
    kind = "openai"
    base_url = "http://127.0.0.1:9/v1"
    api_key = "${KEY:-x}"
    models = ["m", "n"]
    headers = { "X-A" = "b" }
    prices = { m = { input = 1, output = 2, currency = "USD" } }
    [[routes]]
    name = "default"
    use = ["p/m", "p/n"]
    [telemetry]
    sample = 1.0
    [log]
    modules = { http = "debug" }
    """

  @Test func theUndamagedFileLoads() { #expect(issues(Self.good) == []) }

  @Test func everyTruncationIsAnswered() {
    let scratch = ScratchDirectory()
    let bytes = Array(Self.good.utf8)
    for count in 0..<bytes.count {
      check(Array(bytes[..<count]), scratch, "truncated to \(count) bytes")
    }
  }

  @Test(arguments: [20_260_731 as UInt64]) func mutationsAreAnswered(seed: UInt64) {
    let random = SeededRandom(seed: seed)
    let scratch = ScratchDirectory()
    var refused = 0
    for round in 0..<2_000 {
      let bytes = Self.mutated(random)
      if check(bytes, scratch, "seed \(seed), round \(round)") { refused += 1 }
    }
    #expect((200..<2_000).contains(refused), "the mutations are too tame or too wild: \(refused)")
  }

  /// True when the file was refused.
  @discardableResult
  private func check(_ bytes: [UInt8], _ scratch: ScratchDirectory, _ label: String) -> Bool {
    scratch.write(bytes, to: "config.toml")
    do throws(ConfigFailure) {
      let loaded = try ConfigLoader(scratch.inputs()).load()
      #expect(!loaded.rows.isEmpty)
      return false
    } catch {
      for issue in error.issues {
        guard case .file("config.toml", let line) = issue.source, line >= 1 else {
          Issue.record("\(label): no place: \(issue)")
          continue
        }
        #expect(!issue.description.contains("\n"), "\(label)")
      }
      return true
    }
  }

  private static func mutated(_ random: SeededRandom) -> [UInt8] {
    var bytes = Array(good.utf8)
    func place() -> Int { Int(random.next(below: UInt64(bytes.count))) }
    for _ in 0...random.next(below: 3) {
      switch random.next(below: 6) {
      case 0: bytes[place()] = UInt8(truncatingIfNeeded: random.next())
      case 1: bytes.remove(at: place())
      case 2: bytes.insert(Array("\"[]{}=.#\n$'\\0".utf8)[Int(random.next(below: 13))], at: place())
      case 3:
        let start = place()
        bytes.removeSubrange(start..<min(bytes.count, start + Int(random.next(below: 30))))
      case 4:
        let start = place()
        let piece = bytes[start..<min(bytes.count, start + Int(random.next(below: 60)))]
        bytes.insert(contentsOf: piece, at: place())
      default:
        var lines = bytes.split(separator: 10, omittingEmptySubsequences: false).map(Array.init)
        lines.swapAt(
          Int(random.next(below: UInt64(lines.count))), Int(random.next(below: UInt64(lines.count)))
        )
        bytes = Array(lines.joined(separator: [10]))
      }
      if bytes.isEmpty { bytes = [10] }
    }
    return bytes
  }

  static let bombs = [
    "headers": String(repeating: "[", count: 100_000),
    "arrays": "a = " + String(repeating: "[", count: 100_000),
    "tables": "a = " + String(repeating: "{a=", count: 10_000),
    "a dotted key": String(repeating: "a.", count: 50_000) + "b = 1",
    "dotted keys in tables": String(
      repeating: "{" + String(repeating: "a.", count: 100) + "b = [\n", count: 100),
    "a string": "a = \"" + String(repeating: "x", count: 900_000),
    "keys": (0..<20_000).map { "k\($0) = 1\n" }.joined(),
  ]

  @Test(arguments: bombs.keys.sorted()) func bombsAreRefused(_ name: String) throws {
    let text = try #require(Self.bombs[name])
    let count = issues(text).count
    #expect(count > 0)
  }

  @Test func aFileThatIsTooLongIsNotRead() {
    let said = issues(String(repeating: "#", count: ConfigLoader.fileBytesMax + 1))
    #expect(
      said == [
        "config.toml: cannot be read: longer than 1048576 bytes; expected a configuration file"
      ])
  }
}
