// Contract (SURFACE): lists take --json and then print one object a line in the named shapes;
// tables are aligned; errors of the configuration are all reported; doctor fails only on `fail`.
// Not shown here: what a real node answers.
import Base
import Commands
import Foundation
import HTTP
import Testing

@Suite struct ReportingCommandTests {
  static func answering(_ replies: [String: FakeReply]) -> ProgramRun {
    var run = ProgramRun()
    run.answer = { request in
      let path = request.url.replacing("http://127.0.0.1:8080", with: "")
      return replies[path] ?? .problem(404, "route_not_found", "there is no \(path)")
    }
    return run
  }

  @Test func topicsAreListed() throws {
    let row: JSON = [
      "stream": "agent", "topic": "agent.turns.requests", "partitions": 16, "messages": 12,
      "bytes": 4_096, "retention": "0d", "durability": "persisted",
    ]
    let run = Self.answering(["/v1/admin/topics": .json(200, ["items": [row]])])
    #expect(try JSON(parsing: run.run("topics", "list", "--json").output) == row)
    let lines = run.run("topics", "list").output.split(separator: "\n")
    #expect(lines.count == 2)
    #expect(lines[1].contains("4.0 KiB"))
    #expect(lines[0].firstRange(of: "DURABILITY")?.lowerBound != nil)
  }

  @Test func tailPassesLinesOn() throws {
    let record: JSON = [
      "topic": "agent.plans", "partition": 3, "offset": 7,
      "append_time": "2026-01-01T00:00:00.000000Z", "headers": [:],
      "event": ["type": "PlanEvent.v1", "session_id": "s", "payload": ["plan_id": "p"]],
    ]
    let line = record.text + "\n"
    let middle = line.index(line.startIndex, offsetBy: 20)
    let run = Self.answering([
      "/v1/admin/topics/agent/agent.plans/records?from=last&count=2": FakeReply(
        pieces: [String(line[..<middle]), line[middle...] + line])
    ])
    let words = ["topics", "tail", "agent.plans", "--from", "last", "--count", "2"]
    #expect(run.run(words + ["--json"]).output == line + line)
    let people = run.run(words).output.split(separator: "\n")
    #expect(people.count == 2)
    #expect(people[0].contains("3/7") && people[0].contains("PlanEvent.v1"))
  }

  @Test func pagesAreFollowed() throws {
    func turn(_ id: String) -> JSON { ["turn_id": .string(id), "status": "completed"] }
    let run = Self.answering([
      "/v1/turns?limit=3": .json(200, ["items": [turn("c"), turn("b")], "next_cursor": "b"]),
      "/v1/turns?limit=3&cursor=b": .json(200, ["items": [turn("a"), turn("0")]]),
    ])
    let lines = run.run("turns", "list", "--limit", "3", "--json").output.split(separator: "\n")
    #expect(try lines.map { try JSON(parsing: String($0))["turn_id"]?.string } == ["c", "b", "a"])
  }

  @Test func aTurnIsShownAndCancelled() {
    let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    let turn: JSON = [
      "turn_id": .string(id), "status": "cancelled", "answer": "half",
      "error": ["code": "cancelled", "message": ""],
    ]
    let run = Self.answering([
      "/v1/turns/\(id)": .json(200, turn), "/v1/turns/\(id)/cancel": .json(202, turn),
    ])
    let shown = run.run("turns", "show", id)
    #expect(shown.output.contains("status: cancelled") && shown.output.hasSuffix("half\n"))
    #expect(run.run("turns", "cancel", id).output == "\(id): cancelled\n")
    #expect(run.run("turns", "show", "01ARZ3NDEKTSV4RRFFQ69G5FAX").exitCode == .failed)
  }

  @Test func lagShowsWhatIsBehind() {
    func row(_ partition: Int64, _ messages: Int64) -> JSON {
      [
        "group": "engine", "topic": "agent.turns.requests", "partition": .int(partition),
        "lag_messages": .int(messages), "lag_seconds": 1.5,
      ]
    }
    let run = Self.answering(["/v1/admin/lag": .json(200, ["items": [row(0, 0), row(1, 4)]])])
    #expect(run.run("lag").output.split(separator: "\n").count == 2)
    #expect(run.run("lag", "--all").output.split(separator: "\n").count == 3)
    #expect(run.run("lag", "--json").output.split(separator: "\n").count == 2)
    let idle = Self.answering(["/v1/admin/lag": .json(200, ["items": [row(0, 0)]])])
    #expect(idle.run("lag").output.contains("no group is behind"))
  }

  @Test func everyConfigurationErrorIsReported() throws {
    let folder = try TemporaryFolder()
    try folder.write("config.toml", "[http]\nlisten_port = 3\n[engine]\nqueue_max = \"many\"\n")
    var run = ProgramRun()
    run.workingDirectory = folder.path
    for words in [["config", "check"], ["config", "show"], ["serve"]] {
      let outcome = run.run(words)
      #expect(outcome.exitCode == .usage)
      #expect(outcome.output.isEmpty)
      let lines = outcome.errors.split(separator: "\n")
      #expect(lines.count == 2)
      #expect(lines[0].hasPrefix("config.toml:2: ") && lines[0].contains("listen_port"))
      #expect(lines[1].hasPrefix("config.toml:4: ") && lines[1].contains("queue_max"))
    }
  }

  @Test func showNamesSourcesAndHidesSecrets() throws {
    let folder = try TemporaryFolder()
    try folder.write(
      "config.toml",
      """
      [[providers]]
      name = "a"
      kind = "openai"
      base_url = "http://127.0.0.1:9/v1"
      api_key = "${KEY}"
      models = ["m"]
      """)
    var run = ProgramRun()
    run.workingDirectory = folder.path
    run.environment["KEY"] = "sk-canary"
    run.environment["KFM_CFG__engine__queue_max"] = "7"
    for words in [["config", "show"], ["config", "show", "--json"]] {
      let outcome = run.run(words)
      #expect(outcome.exitCode == .ok)
      #expect(outcome.output.contains("***") && !outcome.output.contains("canary"))
      #expect(outcome.output.contains("KFM_CFG__engine__queue_max"))
    }
    let schema = try JSON(parsing: run.run("config", "schema").output)
    #expect(schema["properties"]?["engine"] != nil)
  }

  @Test func packsAreMadeListedAndValidated() throws {
    let folder = try TemporaryFolder()
    var run = ProgramRun()
    run.workingDirectory = folder.path
    try folder.makeFolder("personalities")
    let made = run.run("packs", "new", "mine")
    #expect(made.exitCode == .ok)
    #expect(made.output == "\(folder.path)/personalities/mine\n")
    #expect(run.run("packs", "new", "mine").exitCode == .failed)
    #expect(run.run("packs", "new", "No Name").exitCode == .failed)
    #expect(run.run("packs", "validate", "personalities/mine").exitCode == .ok)
    let manifest = try folder.read("personalities/mine/manifest.yaml")
    try folder.write("personalities/mine/manifest.yaml", manifest + "\nno_such_key: 1\n")
    let wrong = run.run("packs", "validate", "personalities/mine/")
    #expect(wrong.exitCode == .failed)
    #expect(wrong.errors.contains("manifest.yaml:") && wrong.errors.contains("no_such_key"))
    let row = try JSON(parsing: run.run("packs", "list", "--json").output)
    #expect(row["personality_id"]?.string == "mine")
    #expect(row["status"]?.string == "refused")
    #expect(row["detail"]?.string?.contains("no_such_key") == true)
  }

  @Test func versionHasItsShape() throws {
    let value = try JSON(parsing: ProgramRun().run("version", "--json").output)
    #expect(value["version"]?.string == "0.1.0")
    #expect(value["commit"]?.string == "unknown")
    #expect(value["swift"]?.string?.isEmpty == false)
    #expect(value["io"]?.string != nil)
    #expect(value["libraries"]?["liburing"]?.string != nil)
    #expect(ProgramRun().run("--version").output.hasPrefix("kfm 0.1.0"))
  }

  @Test func doctorFailsOnlyOnFail() throws {
    let folder = try TemporaryFolder()
    var run = ProgramRun()
    run.workingDirectory = folder.path
    run.environment["XDG_DATA_HOME"] = folder.path
    run.environment["OPENAI_API_KEY"] = "sk-canary"
    try folder.makeFolder("personalities")
    _ = run.run("packs", "new", "mine")
    let outcome = run.run("doctor", "--json")
    #expect(!outcome.output.contains("canary") && outcome.output.contains("OPENAI_API_KEY"))
    let rows = try outcome.output.split(separator: "\n").map { try JSON(parsing: String($0)) }
    let failed = rows.contains { $0["status"]?.string == "fail" }
    #expect(outcome.exitCode == (failed ? .failed : .ok))
    let names = Set(rows.compactMap { $0["check"]?.string })
    for name in ["kernel", "io_uring", "configuration", "keys", "disk", "data", "libraries"] {
      #expect(names.contains(name))
    }
    for row in rows {
      #expect(["ok", "warn", "fail"].contains(row["status"]?.string))
      #expect(row["detail"]?.string != nil)
    }
    run.environment["KFM_CFG__engine__queue_max"] = "many"
    #expect(run.run("doctor").exitCode == .failed)
  }
}

/// A folder that goes away with the test.
final class TemporaryFolder {
  let path: String

  init() throws {
    let base = FileManager.default.temporaryDirectory.path
    path = "\(base)/kfm-commands-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func write(_ name: String, _ text: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: "\(path)/\(name)"))
  }

  func read(_ name: String) throws -> String {
    String(decoding: try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name)")), as: UTF8.self)
  }

  func makeFolder(_ name: String) throws {
    try FileManager.default.createDirectory(
      atPath: "\(path)/\(name)", withIntermediateDirectories: true)
  }
}
