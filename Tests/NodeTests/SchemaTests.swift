// Contract: every event of a real run fits the JSON Schemas in Sources/Events/Schemas, by the
// judgement of an independent validator (Python's jsonschema); what lacks a required field, or has
// one of another type, does not.
// Not shown here: events that this run does not cause.
import Base
import Foundation
import Testing

extension NodeTests {
  @Suite struct SchemaTests {
    /// Reads records as `kfm topics tail --json` prints them. Prints how many fit; a line for each
    /// that does not. With `planted`, each event is spoilt in every required field, and a line is
    /// printed for each that is accepted all the same.
    private static let judge = """
      import copy, json, pathlib, sys
      from jsonschema import Draft202012Validator

      schemas = {}
      for path in pathlib.Path(sys.argv[1]).glob("*.schema.json"):
          schema = json.loads(path.read_text())
          Draft202012Validator.check_schema(schema)
          schemas[path.name.removesuffix(".schema.json")] = Draft202012Validator(schema)
      envelope = schemas["CommonEventEnvelope-v1"]

      def fits(event):
          payload = schemas.get(event.get("type"))
          return envelope.is_valid(event) and payload is not None and payload.is_valid(event["payload"])

      def spoilt(event):
          for field in envelope.schema["required"]:
              yield "without " + field, {k: v for k, v in event.items() if k != field}
          schema = schemas[event["type"]].schema
          for field in schema.get("required", []):
              worse = copy.deepcopy(event)
              del worse["payload"][field]
              yield "without payload." + field, worse
              worse = copy.deepcopy(event)
              worse["payload"][field] = [[None]]
              yield "with another payload." + field, worse

      events, types = 0, set()
      for line in open(sys.argv[2]):
          event = json.loads(line).get("event")
          if event is None: continue
          events += 1
          types.add(event["type"])
          if sys.argv[3] == "planted":
              for what, worse in spoilt(event):
                  if fits(worse): print("accepted:", event["type"], what)
          elif not fits(event):
              errors = list(envelope.iter_errors(event))
              if event["type"] in schemas:
                  errors += schemas[event["type"]].iter_errors(event["payload"])
              why = errors[0].message if errors else "there is no schema"
              print("refused:", event["type"], why[:200])
      print(events, "events:", " ".join(sorted(types)))
      """

    /// A Python that has the validator; nil where there is none.
    private static func python(_ folder: TestFolder) throws -> String? {
      let candidates =
        ["\(TestPaths.root)/.venv-test/bin/python"]
        + [TestPaths.program("python3")]
        .compactMap { $0 }
      return try candidates.first { program in
        guard FileManager.default.isExecutableFile(atPath: program) else { return false }
        let probe = try ChildProgram(program, ["-c", "import jsonschema"], in: folder)
        return try probe.wait().exitCode == 0
      }
    }

    @Test func everyEventFitsItsSchema() throws {
      let provider = try ScriptedProvider()
      let node = try NodeProcess(provider)
      guard let python = try Self.python(node.folder) else {
        if TestPaths.isCI { Issue.record("no Python with jsonschema; `make test` installs one") }
        return print("SchemaTests: skipped, no Python with jsonschema")
      }
      try node.start()
      try run(node, provider)
      try node.folder.write("records", try records(of: node))
      try node.folder.write("judge.py", Self.judge)
      let schemas = "\(TestPaths.root)/Sources/Events/Schemas"
      for mode in ["real", "planted"] {
        let outcome = try ChildProgram(
          python, ["judge.py", schemas, "records", mode], in: node.folder
        ).wait()
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        let lines = outcome.output.split(separator: "\n")
        #expect(lines.count == 1, "\(mode): \(outcome.output.prefix(4_000))")
        #expect(lines.last?.contains("TurnEvent.v1") == true)
        print("SchemaTests, \(mode): \(lines.last ?? "")")
      }
    }

    /// Turns of every kind of end, one of them over a crash, one with knowledge.
    private func run(_ node: NodeProcess, _ provider: ScriptedProvider) throws {
      let http = node.http
      _ = try http.turn(["user_message": "id=a say=5"])
      _ = try http.turn(["user_message": "id=b refuse=401"])
      _ = try http.turn(["user_message": "id=c say=100 pause=20", "timeout": "200ms"])
      _ = try http.turn([
        "user_message": "id=d say=2 Why does a log flush?", "personality_id": "archivist",
      ])
      let long: JSON = ["user_message": "id=e say=60 pause=20", "session_id": "crash"]
      let reply = try http.request("POST", "/v1/turns", long)
      let turn = try #require(reply.json["turn_id"]?.string)
      try Waiting.until("question at the provider") { provider.count(of: "e") == 1 }
      try node.stop(SIGKILL)
      try node.start()
      #expect(try node.ended(turn)["status"]?.string == "completed")
      let stopped = try node.http.request(
        "POST", "/v1/turns", ["user_message": "id=f say=500 pause=20"])
      let cancelled = try #require(stopped.json["turn_id"]?.string)
      try Waiting.until("question at the provider") { provider.count(of: "f") == 1 }
      #expect(try node.http.request("POST", "/v1/turns/\(cancelled)/cancel").status == 202)
      #expect(try node.ended(cancelled)["status"]?.string == "cancelled")
    }

    /// All records of all topics, a line each.
    private func records(of node: NodeProcess) throws -> String {
      let list = try node.command("topics", "list", "--json").wait()
      #expect(list.exitCode == 0)
      var lines: [String] = []
      for line in list.output.split(separator: "\n") {
        let row = try JSON(parsing: String(line))
        guard let stream = row["stream"]?.string, let topic = row["topic"]?.string else { continue }
        lines += try node.tail("\(stream)/\(topic)").map(\.text)
      }
      return lines.joined(separator: "\n") + "\n"
    }
  }
}
