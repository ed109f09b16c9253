// Contract (SURFACE "Start, stop"; SEMANTICS D11, D13, D20, D21): SIGTERM lets running turns end;
// kill -9 at any time loses no accepted turn, runs no finished one again, and gives each exactly one
// terminal, with a stream whose resets say what became void.
// Not shown here: power loss (LogBroker's tests on a simulated disk).
import Base
import Foundation
import Testing

extension NodeTests {
  @Suite struct StopTests {
    let provider: ScriptedProvider

    init() throws { provider = try ScriptedProvider() }

    @Test func sigtermLetsARunningTurnEnd() throws {
      let node = try NodeProcess(provider).start()
      let events = Shared([TestHTTP.Event]())
      let http = node.http
      let join = Threads.start {
        let all = try? http.turn(["user_message": "id=a say=40 pause=20"])
        events.change { $0 = all ?? [] }
      }
      try Waiting.until("question at the provider") { provider.count(of: "a") == 1 }
      #expect(try node.stop(SIGTERM) == 0)
      try join()
      #expect(events.value.last?.name == "turn.completed")
      #expect(events.value.last?.data["answer"]?.string == ScriptedProvider.words("a", 40))
    }

    @Test func whatDoesNotEndInTimeGoesOnAfterTheNextStart() throws {
      let node = try NodeProcess(provider, .init(node: "drain_timeout = \"300ms\"")).start()
      let reply = try node.http.request(
        "POST", "/v1/turns", ["user_message": "id=a say=100 pause=20"])
      let turn = try #require(reply.json["turn_id"]?.string)
      try Waiting.until("question at the provider") { provider.count(of: "a") == 1 }
      #expect(try node.stop(SIGTERM) == 0)
      try node.start()
      #expect(try node.ended(turn)["answer"]?.string == ScriptedProvider.words("a", 100))
    }

    @Test func anIdleNodeStopsOnInterrupt() throws {
      let node = try NodeProcess(provider).start()
      #expect(try node.stop(SIGINT) == 0)
      #expect(node.folder.read("data/log/catalog.json").isEmpty == false)
    }

    /// One client of one turn in one round.
    struct Client: Sendable {
      var name: String
      var turnID: String?
      var stream = ReceivedStream()
    }

    static let rounds = 10
    static let words = 60

    @Test(.timeLimit(.minutes(5))) func killsLoseNothing() throws {
      let node = try NodeProcess(provider)
      let seed = UInt64.random(in: .min ... .max)
      print("StopTests seed \(seed)")
      let random = SeededRandom(seed: seed)
      var finished: [String] = []
      for round in 0..<Self.rounds {
        try node.start()
        let clients = (0..<4).map { Shared(Client(name: "r\(round)c\($0)")) }
        let joins = clients.enumerated().map { ask($1, session: "s\($0)", node.http) }
        try Waiting.until("four turns") { clients.allSatisfy { $0.value.turnID != nil } }
        usleep(UInt32(random.next(below: 800_000)))
        try node.stop(SIGKILL)
        for join in joins { try join() }
        try node.start()
        for client in clients { try judge(client.value, node, &finished) }
        try node.stop(SIGKILL)
      }
      try node.start()
      for name in finished { #expect(provider.count(of: name) == 1, "\(name) ran again") }
      try judgeTerminals(node, turns: Self.rounds * 4)
    }

    private func ask(_ client: Shared<Client>, session: String, _ http: TestHTTP)
      -> () throws -> Void
    {
      let body: JSON = [
        "user_message": .string("id=\(client.value.name) say=\(Self.words) pause=10"),
        "session_id": .string(session),
      ]
      return Threads.start {
        _ = try? http.turn(body) { event in
          client.change {
            $0.turnID = $0.turnID ?? event.data["turn_id"]?.string
            $0.stream.feed(event)
          }
        }
      }
    }

    private func judge(_ client: Client, _ node: NodeProcess, _ finished: inout [String]) throws {
      let turn = try #require(client.turnID)
      let resource = try node.ended(turn)
      let expected = ScriptedProvider.words(client.name, Self.words)
      #expect(resource["status"]?.string == "completed")
      #expect(resource["answer"]?.string == expected)
      var stream = client.stream
      if stream.terminals.isEmpty {
        for event in try node.http.events(of: turn, after: stream.lastID) { stream.feed(event) }
      } else {
        finished.append(client.name)
      }
      #expect(stream.terminals.count == 1)
      #expect(stream.violations.isEmpty, "\(stream.violations)")
      #expect(!stream.hasHoles)
      #expect(stream.text == expected)
    }

    /// Exactly one terminal of each turn stands on the log (repeats of one event count once).
    private func judgeTerminals(_ node: NodeProcess, turns: Int) throws {
      var ends: [String: Set<String>] = [:]
      for row in try node.tail("agent.turns.responses") {
        guard let event = row["event"], let payload = event["payload"],
          let name = payload["event"]?.string, let turn = payload["turn_id"]?.string,
          let id = event["event_id"]?.string,
          ["turn.completed", "turn.failed", "turn.cancelled", "turn.merged"].contains(name)
        else { continue }
        ends[turn, default: []].insert(id)
      }
      #expect(ends.count == turns)
      #expect(ends.values.allSatisfy { $0.count == 1 })
    }
  }
}
