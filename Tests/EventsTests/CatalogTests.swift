// Contract: names that leave the node are the ones that are written down: error codes as in the
// data file, topics as in docs/surface.md, places of sessions as every client computes them.
import Base
import Events
import Glibc
import Testing

@Suite struct ErrorCodeTests {
  static let schemas: String = {
    let parts = #filePath.split(separator: "/").dropLast(3)
    return "/" + parts.joined(separator: "/") + "/Sources/Events/Schemas"
  }()

  static func json(_ name: String) throws -> JSON {
    let file = try #require(fopen("\(schemas)/\(name)", "r"), "\(name)")
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = fread(&bytes, 1, bytes.count, file)
    return try JSON(parsing: Array(bytes[..<count]))
  }

  @Test func codesAreThoseOfTheDataFile() throws {
    let data = try #require(try Self.json("problem-codes.json").object)
    #expect(data.names.sorted() == ErrorCode.allCases.map(\.rawValue).sorted())
    for code in ErrorCode.allCases {
      #expect(data[code.rawValue]?["status"]?.int.map(Int.init) == code.status, "\(code)")
      #expect(data[code.rawValue]?["retryable"]?.bool == code.retryable, "\(code)")
    }
  }

  @Test func failuresTakeTheirCodesWord() {
    #expect(TurnFailure(.providerTimeout, "x").retryable)
    #expect(!TurnFailure(.providerTimeout, "x", retryable: false).retryable)
    #expect(
      TurnFailure(.poison, "x").json == ["code": "poison", "message": "x", "retryable": false])
  }
}

@Suite struct TopicTests {
  static let names = """
    agent/agent.turns.requests agent/agent.control agent/agent.journal agent/agent.plans
    agent/agent.steps.requests agent/agent.steps.results agent/agent.turns.responses
    agent/agent.calls agent/agent.sessions agent/agent.steps.work agent/agent.blobs
    agent/agent.memory agent/agent.knowledge agent/agent.audit agent/agent.dlq
    events/lifecycle-events events/system-notifications metrics/latency metrics/token-usage
    metrics/costs logs/info logs/warning logs/error
    """.split(whereSeparator: \.isWhitespace).map(String.init)

  @Test func theCatalogIsComplete() {
    #expect(Topic.allCases.map { "\($0.stream)/\($0.name)" } == Self.names)
    for (index, path) in Self.names.enumerated() {
      #expect(Topic(path: path) == Topic(rawValue: index))
    }
  }

  @Test func agentMayBeLeftOut() {
    #expect(Topic(path: "agent.journal") == .journal)
    #expect(Topic(path: "latency") == nil)
    #expect(Topic(path: "bench") == .bench && !Topic.allCases.contains(.bench))
    #expect(Topic(path: "agent/latency") == nil)
    #expect(Topic(path: "") == nil)
  }

  /// SEMANTICS D37: what decides and what answers is never dropped by age.
  @Test func whatMustStayStays() {
    for topic in [Topic.turnsRequests, .control, .journal, .turnsResponses] {
      #expect(topic.retention == .zero)
      #expect(topic.isSessionKeyed)
    }
    #expect(Topic.calls.retention == .seconds(30 * 86_400))
    #expect(Topic.deadLetters.retention == .seconds(90 * 86_400))
  }
}

@Suite struct PartitionTests {
  /// XXH32 of "customer-42" is 3680932112, which is 0 modulo 16.
  @Test func sessionsAreWhereClientsPlaceThem() {
    #expect(partition(ofSession: "customer-42", count: 16) == 3_680_932_112 % 16)
    #expect(partition(ofSession: "a", count: 16) == 1_426_945_110 % 16)
    #expect(partition(ofSession: "", count: 1_024) == 46_947_589 % 1_024)
  }

  @Test func everyPartitionIsUsed() {
    for count in [1, 2, 16, 128] {
      let used = Set((0..<count * 20).map { partition(ofSession: "session-\($0)", count: count) })
      #expect(used == Set(0..<count))
    }
  }
}

@Suite struct StreamPositionTests {
  @Test(arguments: [
    ("131072.4", 131_072 as UInt64, 4 as UInt64), ("0.0", 0, 0),
    ("18446744073709551615.18446744073709551615", .max, .max),
  ])
  func textAndValueAgree(_ text: String, _ attempt: UInt64, _ sequence: UInt64) {
    let position = StreamPosition(attempt: attempt, sequence: sequence)
    #expect(StreamPosition(text) == position)
    #expect(position.description == text)
  }

  @Test(arguments: [
    "", ".", "1", "1.", ".1", "1.2.3", "-1.2", "+1.2", "1.+2", "01.2", "1.02", " 1.2", "1.2 ",
    "1,2", "a.b", "18446744073709551616.1", "٣.٣",
  ])
  func nothingElseIsAPosition(_ text: String) { #expect(StreamPosition(text) == nil) }
}

@Suite struct PrincipalTests {
  @Test func jsonReadsBack() {
    #expect(Principal(json: Principal.local.json) == .local)
    #expect(Principal(json: ["subject": "x"]) == nil)
    #expect(Principal(json: nil) == nil)
  }
}
