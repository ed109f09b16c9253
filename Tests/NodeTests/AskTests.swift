// Contract (SURFACE, "Start, stop, local access" and "Commands"): the command line talks to a node
// by URL or by its socket, whatever the socket's path; a pipe gets the answer and nothing else, also
// when the node is killed in the middle; lists have the named shapes; `--offline` needs no node.
// Not shown here: a terminal.
import Base
import Foundation
import Testing

extension NodeTests {
  @Suite struct AskTests {
    let provider: ScriptedProvider

    init() throws { provider = try ScriptedProvider() }

    @Test func anAnswerComesThroughUrlAndSocket() throws {
      let node = try NodeProcess(provider).start()
      let byURL = try node.command("ask", "id=a say=5").wait()
      #expect(byURL.exitCode == 0)
      #expect(byURL.output == ScriptedProvider.words("a", 5) + "\n")
      #expect(byURL.errors.contains("11 tokens in, 5 tokens out"))
      let bySocket = try node.command("ask", "-", input: "id=b say=3\n", socketOnly: true).wait()
      #expect(bySocket.output == ScriptedProvider.words("b", 3) + "\n")
      let attributes = try FileManager.default.attributesOfItem(
        atPath: "\(node.dataDirectory)/kfm.sock")
      #expect(attributes[.posixPermissions] as? Int == 0o600)
    }

    @Test func aSocketPathMayBeLong() throws {
      let folder = try TestFolder()
      let deep = (0..<4).map { "directory-with-a-long-name-\($0)" }.joined(separator: "/")
      let data = "\(folder.path)/\(deep)"
      #expect(data.utf8.count > 107)
      let node = try NodeProcess(provider, .init(dataDirectory: data), folder: folder).start()
      let outcome = try node.command("ask", "id=a say=2", socketOnly: true).wait()
      #expect(outcome.exitCode == 0)
      #expect(outcome.output == ScriptedProvider.words("a", 2) + "\n")
    }

    @Test func jsonIsOneTerminal() throws {
      let node = try NodeProcess(provider).start()
      let outcome = try node.command("ask", "--json", "id=a say=4", "--session", "s").wait()
      #expect(outcome.exitCode == 0)
      let value = try JSON(parsing: outcome.output)
      #expect(value["event"]?.string == "turn.completed")
      #expect(value["answer"]?.string == ScriptedProvider.words("a", 4))
      #expect(value["session_id"]?.string == "s")
      #expect(value["receipt"]?["tokens_out"]?.int == 4)
    }

    /// The node dies in the middle of an answer that goes into a pipe, and comes back.
    @Test func aPipeGetsTheAnswerOnce() throws {
      let node = try NodeProcess(provider).start()
      let ask = try node.command("ask", "id=a say=60 pause=10", socketOnly: true)
      try Waiting.until("question at the provider") { provider.count(of: "a") == 1 }
      // Some of the answer is on its way.
      let turns = try node.http.request("GET", "/v1/turns").json["items"]?.array ?? []
      #expect(turns.count == 1)
      try node.stop(SIGKILL)
      try node.start()
      let outcome = try ask.wait()
      #expect(outcome.exitCode == 0, "\(outcome.errors)")
      #expect(outcome.output == ScriptedProvider.words("a", 60) + "\n")
    }

    @Test func whatIsOnTheBusIsShownWithAndWithoutANode() throws {
      let node = try NodeProcess(provider).start()
      for name in ["a", "b", "c"] {
        #expect(try node.command("ask", "id=\(name) say=2").wait().exitCode == 0)
      }
      let online = try node.tail("agent.turns.requests")
      #expect(online.count == 3)
      for row in online {
        for name in ["topic", "partition", "offset", "append_time", "headers", "event"] {
          #expect(row[name] != nil)
        }
        #expect(row["headers"]?["type"]?.string == "TurnEvent.v1")
        #expect(row["headers"]?["event_id"] == row["event"]?["event_id"])
      }
      let times = online.compactMap { $0["append_time"]?.string }
      #expect(times == times.sorted())
      let last = try node.command(
        "topics", "tail", "agent.turns.responses", "--from", "last", "--count", "1", "--json"
      ).wait()
      #expect(last.output.split(separator: "\n").count == 1)
      let lag = try node.command("lag", "--json").wait()
      let row = try JSON(parsing: String(lag.output.split(separator: "\n")[0]))
      for name in ["group", "topic", "partition", "lag_messages", "lag_seconds"] {
        #expect(row[name] != nil)
      }
      #expect(try node.stop(SIGTERM) == 0)
      let offline = try node.command(
        "topics", "tail", "agent.turns.requests", "--offline", "--json"
      ).wait()
      #expect(offline.exitCode == 0)
      #expect(
        try offline.output.split(separator: "\n").map { try JSON(parsing: String($0)) } == online)
      let list = try node.command("topics", "list", "--offline", "--json").wait()
      let topics = try list.output.split(separator: "\n").map { try JSON(parsing: String($0)) }
      let requests = try #require(
        topics.first { $0["topic"]?.string == "agent.turns.requests" })
      #expect(requests["messages"]?.int == 3 && requests["partitions"]?.int == 16)
    }

    @Test func loadReportsEveryTurn() throws {
      let node = try NodeProcess(provider).start()
      let outcome = try node.command(
        "load", "--rate", "50", "--duration", "1s", "--message", "say=3", "--json"
      ).wait()
      #expect(outcome.exitCode == 0, "\(outcome.errors)")
      let report = try JSON(parsing: outcome.output)
      #expect(report["completed"]?.int == 50)
      #expect(report["tokens_out"]?.int == 150)
      #expect(report["turn_us"]?["count"]?.int == 50)
    }

    @Test func aReaderThatHasEnoughIsNoFailure() throws {
      let node = try NodeProcess(provider).start()
      #expect(try node.command("ask", "id=a say=2").wait().exitCode == 0)
      let line =
        "'\(TestPaths.kfm)' topics tail agent.journal --json | head -n 1; "
        + "echo ${PIPESTATUS[0]}"
      let outcome = try ChildProgram(
        "/bin/bash", ["-c", line], in: node.folder,
        environment: ["KFM_URL": "http://\(node.address)"]
      ).wait()
      #expect(outcome.output.split(separator: "\n").last == "0")
    }
  }
}
