import Base
import Events
import Gateway
import TestSupport
import Testing

/// Contract: `kfm topics` and `kfm lag` as SURFACE has them, over any bus: records of all
/// partitions by append time, offsets a partition, counts in all.
@Suite struct MessageBusInspectorTests {
  private let bus = FakeBus()
  private let topic = Topic.turnsRequests

  @Test func mergesByAppendTime() throws {
    for (partition, times) in [[1, 4, 9], [2, 3], [], [5, 5, 6]].enumerated() {
      for time in times { put(partition, at: Int64(time)) }
    }
    let tail = Reader(bus, TailRequest(topic: topic))
    #expect(try tail.places() == ["0/0", "1/0", "1/1", "0/1", "3/0", "3/1", "3/2", "0/2"])
    #expect(tail.hasEnded && tail.problem == nil)
  }

  /// Against a sort, from a printed seed; lanes longer than one poll included.
  @Test func mergesLikeASort() throws {
    let seed = testSeed()
    let random = SeededRandom(seed: seed)
    var model: [(time: Int64, place: String)] = []
    for partition in 0..<4 {
      var time: Int64 = 0
      for offset in 0..<Int(random.next(below: 400)) {
        time += Int64(random.next(below: 4))
        put(partition, at: time)
        model.append((time, "\(partition)/\(offset)"))
      }
    }
    let places = try Reader(bus, TailRequest(topic: topic)).places()
    #expect(places.count == model.count, "seed \(seed)")
    #expect(Set(places) == Set(model.map(\.place)), "seed \(seed)")
    let times = Dictionary(uniqueKeysWithValues: model.map { ($0.place, $0.time) })
    let order = places.map { times[$0]! }
    #expect(order == order.sorted(), "seed \(seed)")
    for partition in 0..<4 {
      let offsets = places.filter { $0.hasPrefix("\(partition)/") }.map { Int($0.dropFirst(2))! }
      #expect(offsets == Array(0..<offsets.count), "seed \(seed)")
    }
  }

  @Test func startAndCount() throws {
    for partition in 0..<3 { for time in 0..<5 { put(partition, at: Int64(time * 3 + partition)) } }
    func places(_ start: TailRequest.Start, _ count: Int? = nil) throws -> [String] {
      try Reader(bus, TailRequest(topic: topic, start: start, countMax: count)).places()
    }
    #expect(try places(.last) == ["0/4", "1/4", "2/4"])
    #expect(try places(.last, 1) == ["0/4"])
    #expect(try places(.offset(3)) == ["0/3", "1/3", "2/3", "0/4", "1/4", "2/4"])
    #expect(try places(.offset(9)) == [])
    #expect(try places(.first, 4) == ["0/0", "1/0", "2/0", "0/1"])
    #expect(try places(.first, 0) == [])
  }

  @Test func endsWhereTheTopicEnded() throws {
    put(0, at: 1)
    let tail = Reader(bus, TailRequest(topic: topic), run: false)
    put(0, at: 2)
    put(1, at: 3)
    bus.run()
    #expect(try tail.places() == ["0/0"])
    #expect(bus.watchCount == 0)
  }

  @Test func followsGrowth() throws {
    put(0, at: 1)
    let tail = Reader(bus, TailRequest(topic: topic, start: .last, countMax: 4, follows: true))
    #expect(try tail.places() == ["0/0"])
    let polls = bus.pollCount
    bus.run()
    #expect(bus.pollCount == polls, "an idle tail polls nothing")
    put(1, at: 2)
    put(1, at: 3)
    bus.run()
    #expect(try tail.places() == ["0/0", "1/0", "1/1"])
    #expect(!tail.hasEnded)
    put(0, at: 4)
    put(0, at: 5)
    bus.run()
    #expect(try tail.places() == ["0/0", "1/0", "1/1", "0/1"])
    #expect(tail.hasEnded && tail.problem == nil)
    #expect(bus.watchCount == 0)
  }

  /// Growth that is told while a poll is on its way is not lost.
  @Test func noWakeUpIsLost() throws {
    let tail = Reader(bus, TailRequest(topic: topic, follows: true), run: false)
    put(2, at: 1)
    bus.run()
    #expect(try tail.places() == ["2/0"])
  }

  @Test func aPausedTailHoldsBack() throws {
    for time in 0..<1_000 { put(0, at: Int64(time), payload: String(repeating: "x", count: 1_000)) }
    let tail = Reader(bus, TailRequest(topic: topic), run: false)
    tail.onLines = { [unowned tail] in tail.handle?.pause() }
    bus.run()
    let first = try tail.places().count
    #expect(first < 200)
    #expect(!tail.hasEnded)
    tail.onLines = nil
    tail.handle?.resume()
    bus.run()
    #expect(try tail.places().count == 1_000)
    #expect(tail.hasEnded && tail.problem == nil)
  }

  @Test func cancelInsideALineEndsIt() throws {
    for time in 0..<1_000 { put(0, at: Int64(time), payload: String(repeating: "x", count: 1_000)) }
    let tail = Reader(bus, TailRequest(topic: topic, follows: true), run: false)
    tail.onLines = { [unowned tail] in tail.handle?.cancel() }
    bus.run()
    let count = try tail.places().count
    put(1, at: 1_000)
    bus.run()
    #expect(try tail.places().count == count)
    #expect(!tail.hasEnded)
    #expect(bus.watchCount == 0)
  }

  @Test func aFailureEndsItWithItsProblem() {
    bus.failure = .unavailable("fenced")
    let tail = Reader(bus, TailRequest(topic: topic))
    #expect(tail.problem?.code == .busUnavailable)
  }

  @Test func aLineHasTheShapeOfTheSurface() throws {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    let envelope = EventEnvelope(
      eventID: ULID(value: 7), type: "TurnEvent.v1", timestamp: Timestamp(microseconds: 0),
      traceID: trace)
    let payloads = [
      String(decoding: envelope.record(payload: Array(#"{"a":1}"#.utf8)).payload, as: UTF8.self),
      String(decoding: envelope.record(payload: Array("{\"a\":\n1}".utf8)).payload, as: UTF8.self),
      String(decoding: envelope.record(payload: Array("{tru}".utf8)).payload, as: UTF8.self),
      "no envelope",
    ]
    for payload in payloads { put(1, at: 0, payload: payload) }
    let rows = try Reader(bus, TailRequest(topic: topic)).rows()
    #expect(rows[0]["topic"]?.string == "agent.turns.requests")
    #expect(rows[0]["partition"]?.int == 1)
    #expect(rows[0]["offset"]?.int == 0)
    #expect(rows[0]["append_time"]?.string == "1970-01-01T00:00:00.000000Z")
    #expect(rows[0]["headers"] == ["type": "h"])
    #expect(rows[0]["event"]?["trace_id"]?.string == trace)
    #expect(rows[1]["event"]?["payload"] == ["a": 1])
    for row in rows[2...] { #expect(row["event"] == nil) }
    #expect(rows[3]["data_base64"]?.string == "bm8gZW52ZWxvcGU=")
  }

  @Test func lagCountsWhatIsNotConsumed() throws {
    for time in 0..<5 { put(1, at: Int64(time)) }
    for time in 0..<3 { put(2, at: Int64(time)) }
    let done = TopicPartition(topic, 2)
    bus.stored["engine"] = [TopicPartition(topic, 1): 2, done: 2]
    var rows: [LagRow] = []
    inspector().lag { rows = (try? $0.get()) ?? [] }
    bus.run()
    #expect(rows.map(\.messages) == [0, 2, 0, 0])
    let age = StillClock.now.microseconds / 1_000_000 - 3
    #expect(Int64(rows[1].age.seconds) == age)
    #expect(rows[2].age == .zero)
    #expect(
      rows[0].json.text
        == #"{"group":"engine","topic":"agent.turns.requests","partition":0,"#
        + #""lag_messages":0,"lag_seconds":0}"#)
  }

  @Test func lagOfAnIdleBusPollsNothing() {
    var rows: [LagRow]?
    inspector().lag { rows = try? $0.get() }
    #expect(rows?.count == 4)
    #expect(bus.pollCount == 0)
  }

  @Test func listsTopics() {
    #expect(
      inspector().topics().map(\.json.text) == [
        #"{"stream":"agent","topic":"agent.turns.requests","partitions":4,"messages":12,"#
          + #""bytes":4096,"retention":"0d","durability":"persisted"}"#,
        #"{"stream":"agent","topic":"agent.calls","partitions":4,"messages":0,"#
          + #""bytes":0,"retention":"30d","durability":"persisted"}"#,
      ])
  }

  private func put(_ partition: Int, at time: Int64, payload: String = "x") {
    bus.put(TopicPartition(topic, partition), at: time, payload)
  }

  private func inspector() -> MessageBusInspector { Reader.inspector(bus) }

  private final class Reader {
    private var bytes: [UInt8] = []
    private(set) var hasEnded = false
    private(set) var problem: Problem?
    private(set) var handle: (any TailHandle)?
    var onLines: (() -> Void)?

    init(_ bus: FakeBus, _ request: TailRequest, run: Bool = true) {
      handle = Self.inspector(bus).tail(
        request,
        TailEvents(
          onLines: { [unowned self] in
            bytes += $0
            onLines?()
          },
          onEnd: { [unowned self] in
            hasEnded = true
            problem = $0
          }))
      if run { bus.run() }
    }

    static func inspector(_ bus: FakeBus) -> MessageBusInspector {
      let options = BusInspectorOptions { [("type", String(decoding: $0, as: UTF8.self))] }
      return MessageBusInspector(bus: bus, clock: StillClock(), options: options)
    }

    func rows() throws -> [JSON] {
      try bytes.split(separator: 0x0A).map { try JSON(parsing: Array($0)) }
    }

    /// `partition/offset` of each record.
    func places() throws -> [String] {
      try rows().map { "\($0["partition"]!.int!)/\($0["offset"]!.int!)" }
    }
  }
}
