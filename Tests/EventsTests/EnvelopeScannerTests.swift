// Contract: what EventEnvelope writes, the scanner finds, field for field; unknown members are
// skipped; of damaged bytes it finds nothing or the same, never something else, and it stays inside
// the buffer.
import Base
import Events
import Testing

@Suite struct EnvelopeScannerTests {
  static let owned = EventEnvelope(
    eventID: ULID(value: 0x0197_2C5A_1234_ABCD_EF01_2345_6789_ABCD), type: "TurnAccepted.v1",
    timestamp: Timestamp(microseconds: 1_764_108_621_123_456),
    traceID: "4bf92f3577b34da6a3ce929d0e0e4736", tenantID: "default",
    sessionID: "s \"1\" \u{1F98A}",
    causationID: ULID(value: 7),
    owner: OwnerStamp(
      epoch: .max >> 1, claim: 0xFEDC_BA98_7654_3210_0123_4567_89AB_CDEF,
      consumed: InputOffsets(requests: 12, control: 0), foldVersion: 1))
  static let payload = Array(#"{"turn_id":"t","text":"} ]\" {","items":[{"payload":1},[]]}"#.utf8)

  /// What of an envelope was found, as values.
  struct Found: Equatable {
    var eventID: ULID
    var type, version, timestamp, trace: String?
    var tenant, session, causation: String?
    var owner: OwnerStamp?
    var payload: [UInt8]
  }

  static func scan(_ bytes: [UInt8]) -> Found? {
    bytes.withUnsafeBytes { buffer in
      guard let scanner = EnvelopeScanner(buffer) else { return nil }
      return Found(
        eventID: scanner.eventID, type: scanner.text(scanner.type),
        version: scanner.text(scanner.specVersion), timestamp: scanner.text(scanner.timestamp),
        trace: scanner.text(scanner.traceID), tenant: scanner.text(scanner.tenantID),
        session: scanner.text(scanner.sessionID), causation: scanner.text(scanner.causationID),
        owner: scanner.owner, payload: Array(buffer[scanner.payload]))
    }
  }

  @Test func everyFieldIsFound() throws {
    let envelope = Self.owned
    let record = envelope.record(payload: Self.payload)
    #expect(record.eventID == envelope.eventID)
    #expect(record.type == envelope.type)
    let found = try #require(Self.scan(record.payload))
    #expect(found.eventID == envelope.eventID)
    #expect(found.type == envelope.type)
    #expect(found.version == EventEnvelope.specVersion)
    #expect(found.timestamp == "2025-11-25T22:10:21.123456Z")
    #expect(found.trace == envelope.traceID)
    #expect(found.tenant == "default")
    #expect(found.session == envelope.sessionID)
    #expect(found.causation == ULID(value: 7).description)
    #expect(found.owner == envelope.owner)
    #expect(found.payload == Self.payload)
  }

  @Test func optionalFieldsMayBeMissing() throws {
    var envelope = Self.owned
    (envelope.tenantID, envelope.sessionID, envelope.causationID) = (nil, nil, nil)
    envelope.owner = nil
    let found = try #require(Self.scan(envelope.record(payload: Array("{}".utf8)).payload))
    #expect(found.tenant == nil && found.session == nil && found.causation == nil)
    #expect(found.owner == nil)
    #expect(found.payload == Array("{}".utf8))
  }

  @Test func recordsAreStrictJSON() throws {
    let record = Self.owned.record(payload: Self.payload)
    let json = try JSON(parsing: record.payload)
    #expect(json["payload"] == (try JSON(parsing: Self.payload)))
    #expect(json["in"]?["requests"] == 12)
    #expect(json["session_id"]?.string == Self.owned.sessionID)
  }

  /// Members in any order, with others between them and space around them.
  @Test(arguments: [21 as UInt64]) func orderAndStrangersDoNotMatter(seed: UInt64) throws {
    let random = SeededRandom(seed: seed)
    let record = Self.owned.record(payload: Self.payload)
    let whole = try #require(Self.scan(record.payload))
    var members = try #require(try JSON(parsing: record.payload).object).members
    for name in ["x", "event_id2", "typ", "in2", "enc", "dataref", "payloads", "spec_versio", ""] {
      members.append(.init(name: name, value: ["event_id": "no", "payload": [1, "}"]]))
    }
    for round in 0..<200 {
      for index in members.indices.reversed() {
        members.swapAt(index, Int(random.next(below: UInt64(index + 1))))
      }
      let text =
        "{"
        + members.map { " \(JSON.string($0.name).text) :\n\($0.value.text) " }
        .joined(separator: ",") + "}"
      let found = try #require(Self.scan(Array(text.utf8)), "seed \(seed), round \(round)")
      var expected = whole
      expected.payload = found.payload
      #expect(found == expected, "seed \(seed), round \(round)")
      #expect(try JSON(parsing: found.payload) == (try JSON(parsing: Self.payload)))
    }
  }

  @Test func everyTruncationFindsNothing() {
    let bytes = Self.owned.record(payload: Self.payload).payload
    for count in 0..<bytes.count {
      #expect(Self.scan(Array(bytes[..<count])) == nil, "of \(count) bytes")
    }
  }

  /// A flipped bit may change one field's text; it must not move another field's border.
  @Test func everyFlippedBitStaysInItsField() throws {
    let bytes = Self.owned.record(payload: Self.payload).payload
    let whole = try #require(Self.scan(bytes))
    for index in bytes.indices {
      for bit in 0..<8 {
        var damaged = bytes
        damaged[index] ^= 1 << bit
        guard let found = Self.scan(damaged) else { continue }
        let changes = [
          found.eventID != whole.eventID, found.type != whole.type,
          found.version != whole.version, found.timestamp != whole.timestamp,
          found.trace != whole.trace, found.tenant != whole.tenant,
          found.session != whole.session, found.causation != whole.causation,
          found.owner != whole.owner, found.payload != whole.payload,
        ].count(where: \.self)
        #expect(changes <= 1, "byte \(index), bit \(bit)")
      }
    }
  }

  @Test(arguments: [
    "", "{}", "[]", "null", "\"x\"", "{\"event_id\"", "{\"event_id\":}",
  ])
  func whatIsNoEnvelopeIsNone(_ text: String) { #expect(Self.scan(Array(text.utf8)) == nil) }

  @Test(arguments: ["event_id", "type", "spec_version", "timestamp", "trace_id", "payload"])
  func aRequiredFieldMustBeThereAndFit(_ name: String) throws {
    let record = Self.owned.record(payload: Self.payload)
    var object = try #require(try JSON(parsing: record.payload).object)
    let wrongs: [JSON?] = [.none, .some(.null), 12, [], "short", .some(.double(1e27))]
    for wrong in wrongs {
      object[name] = wrong
      // Any text will do where the form is not looked at.
      let isFree = wrong?.string != nil && ["type", "spec_version", "timestamp"].contains(name)
      let isNone = Self.scan(JSON.object(object).encoded) == nil
      #expect(isNone == !isFree, "\(name) \(wrong?.text ?? "missing")")
    }
    // 28 digits are as long as a quoted ULID.
    let digits = String(repeating: "1", count: 28)
    let text = JSON.object(object).text.replacing("\(JSON.double(1e27).text)", with: digits)
    #expect(Self.scan(Array(text.utf8)) == nil)
  }

  @Test func theTypeIsComparedWhole() {
    Self.owned.record(payload: Self.payload).payload.withUnsafeBytes { buffer in
      let scanner = EnvelopeScanner(buffer)
      #expect(scanner?.isType("TurnAccepted.v1") == true)
      #expect(scanner?.isType("TurnAccepted.v") == false)
      #expect(scanner?.isType("TurnAccepted.v2") == false)
    }
  }

  @Test func aHalfWrittenOwnerIsNone() throws {
    let record = Self.owned.record(payload: Self.payload)
    let object = try #require(try JSON(parsing: record.payload).object)
    for name in ["owner_epoch", "owner_claim", "in", "fold_version"] {
      var damaged = object
      damaged[name] = nil
      #expect(try #require(Self.scan(JSON.object(damaged).encoded)).owner == nil, "\(name)")
      damaged[name] = -1
      #expect(
        try #require(Self.scan(JSON.object(damaged).encoded)).owner == nil || name == "fold_version"
      )
    }
  }
}
