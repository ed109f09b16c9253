// Contract (SURFACE, "Exit codes"): each code of this version is reached by the program as it is
// started, with one clear line on standard error; what refuses to start leaves nothing behind.
// Not shown here: 6 (RingTests), disk full (DiskTests).
import Base
import Foundation
import Testing

extension NodeTests {
  @Suite struct ExitCodeTests {
    let provider: ScriptedProvider

    init() throws { provider = try ScriptedProvider() }

    @Test func zeroAndUsage() throws {
      let folder = try TestFolder()
      let version = try ChildProgram(TestPaths.kfm, ["version", "--json"], in: folder).wait()
      #expect(version.exitCode == 0)
      #expect(try JSON(parsing: version.output)["version"]?.string != nil)
      for words in [["nosuch"], ["serve", "--nosuch"], ["ask"], ["topics", "tail"], ["replay"]] {
        let outcome = try ChildProgram(TestPaths.kfm, words, in: folder).wait()
        #expect(outcome.exitCode == 2)
        #expect(outcome.output.isEmpty && !outcome.errors.isEmpty)
      }
    }

    @Test func aWrongConfigurationStartsNothing() throws {
      let node = try NodeProcess(provider, .init(more: "[engine]\nqueue_max = \"many\"\n"))
      for words in [["serve"], ["config", "check"]] {
        let outcome = try ChildProgram(
          TestPaths.kfm, words, in: node.folder,
          environment: ["KFM_CONFIG": node.folder.url("config.toml").path]
        ).wait()
        #expect(outcome.exitCode == 2)
        #expect(outcome.errors.contains("engine.queue_max"))
        #expect(outcome.errors.contains("config.toml:"))
      }
      #expect(!FileManager.default.fileExists(atPath: node.dataDirectory))
    }

    @Test func anAddressInUseIsThree() throws {
      let node = try NodeProcess(provider).start()
      let other = try NodeProcess(provider, .init(listen: node.address))
      let outcome = try other.spawn().wait()
      #expect(outcome.exitCode == 3)
      #expect(outcome.errors.contains(node.address))
      #expect(try node.stop(SIGTERM) == 0)
    }

    @Test func aSecondNodeOfOneDirectoryIsFour() throws {
      let node = try NodeProcess(provider).start()
      let other = try NodeProcess(provider, .init(dataDirectory: node.dataDirectory))
      let outcome = try other.spawn().wait()
      #expect(outcome.exitCode == 4)
      #expect(outcome.errors.contains(node.dataDirectory))
      // The first one is none the worse for it.
      #expect(try node.http.request("GET", "/health/live").status == 200)
    }

    @Test func aDirectoryThatCannotBeMadeIsFive() throws {
      let node = try NodeProcess(provider, .init(dataDirectory: "/proc/kfm-data"))
      let outcome = try node.spawn().wait()
      #expect(outcome.exitCode == 5)
      #expect(outcome.errors.contains("/proc/kfm-data"))
    }

    @Test func noNodeIsSeven() throws {
      let node = try NodeProcess(provider)
      for words in [["ask", "hello"], ["topics", "list"], ["lag"], ["turns", "list"]] {
        let outcome = try ChildProgram(
          TestPaths.kfm, words + ["--config", "config.toml"], in: node.folder
        ).wait()
        #expect(outcome.exitCode == 7)
        #expect(outcome.errors.contains("kfm serve"))
      }
    }

    @Test func aForbiddenHostIsEight() throws {
      let node = try NodeProcess(provider).start()
      // Another way to write 127.0.0.1, and not a name of the node's.
      let url = "http://127.1:\(node.address.split(separator: ":")[1])"
      let outcome = try node.command("ask", "hello", environment: ["KFM_URL": url]).wait()
      #expect(outcome.exitCode == 8)
      #expect(outcome.errors.contains("host_forbidden"))
      // The socket has no such rule.
      #expect(try node.command("ask", "id=a say=2", socketOnly: true).wait().exitCode == 0)
    }

    @Test func aRefusedRequestIsOne() throws {
      let node = try NodeProcess(provider).start()
      let outcome = try node.command("ask", "hello", "--personality", "nobody").wait()
      #expect(outcome.exitCode == 1)
      #expect(outcome.errors.contains("personality_not_found"))
      let turn = try node.command("turns", "show", "01ARZ3NDEKTSV4RRFFQ69G5FAV").wait()
      #expect(turn.exitCode == 1)
    }

    @Test func aFailedTurnIsNine() throws {
      let node = try NodeProcess(provider).start()
      let outcome = try node.command("ask", "id=a refuse=401").wait()
      #expect(outcome.exitCode == 9)
      #expect(outcome.errors.contains("provider_authentication"))
      let json = try node.command("ask", "--json", "id=b refuse=401").wait()
      #expect(json.exitCode == 9)
      #expect(try JSON(parsing: json.output)["event"]?.string == "turn.failed")
    }

    @Test func damagedDataIsTenAndNewerDataIsEleven() throws {
      let node = try NodeProcess(provider).start()
      #expect(try node.stop(SIGTERM) == 0)
      let catalog = "data/log/catalog.json"
      let whole = node.folder.read(catalog)
      try node.folder.write(catalog, whole.replacing("format_version", with: "format_versiom"))
      let damaged = try node.spawn().wait()
      #expect(damaged.exitCode == 10)
      #expect(damaged.errors.contains("catalog.json"))
      try node.folder.write(catalog, Self.newer(whole))
      let newer = try node.spawn().wait()
      #expect(newer.exitCode == 11)
      #expect(newer.errors.contains("999"))
      // A start that was refused has changed nothing.
      try node.folder.write(catalog, whole)
      try node.start()
      #expect(try node.stop(SIGTERM) == 0)
    }

    /// The catalog of a release to come: its version raised, its seal (CRC32C in hexadecimal on
    /// the second line) right.
    private static func newer(_ catalog: String) -> String {
      let line = catalog.split(separator: "\n")[0]
        .replacing(/"format_version":\d+/, with: "\"format_version\":999")
      let seal = Array(line.utf8).withUnsafeBytes { crc32c($0) }
      let digits = String(seal, radix: 16)
      return "\(line)\n\(String(repeating: "0", count: 8 - digits.count))\(digits)\n"
    }

    @Test func aDeadlineIsTwelve() throws {
      let node = try NodeProcess(provider, .init(more: "[engine]\nturn_deadline = \"1s\"\n"))
        .start()
      let outcome = try node.command("ask", "id=a say=500 pause=20").wait()
      #expect(outcome.exitCode == 12)
      #expect(outcome.errors.contains("deadline_exceeded"))
    }

    @Test func interruptingAskCancelsTheTurn() throws {
      let node = try NodeProcess(provider).start()
      let ask = try node.command("ask", "id=a say=1000 pause=20")
      try Waiting.until("question at the provider") { provider.count(of: "a") == 1 }
      ask.send(SIGINT)
      #expect(try ask.wait().exitCode == 130)
      let turns = try node.http.request("GET", "/v1/turns").json["items"]?.array ?? []
      let turn = try #require(turns.first?["turn_id"]?.string)
      #expect(try node.ended(turn, seconds: 5)["status"]?.string == "cancelled")
    }

    @Test func otherCommandsEndInterruptedToo() throws {
      let node = try NodeProcess(provider).start()
      let tail = try node.command("topics", "tail", "agent.plans", "--from", "first", "--follow")
      let ask = try node.command("ask", "id=a say=1")
      #expect(try ask.wait().exitCode == 0)
      try Waiting.until("a record in the tail") { !tail.output.isEmpty }
      tail.send(SIGINT)
      #expect(try tail.wait().exitCode == 130)
    }
  }
}
