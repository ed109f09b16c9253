package import Base
package import Events

/// What the owner of a partition decides: one record of `agent.journal` (SEMANTICS D3). Folding
/// the records that count, in their order, gives the partition's state.
package enum JournalRecord: Sendable {
  case claim(OwnerClaim)
  case released(OwnerReleased)
  case accepted(TurnAccepted)
  case planned(PlanRecord)
  case started(StepStarted)
  case finished(StepFinished)
  case ended(TurnEnded)
  case resuming(TurnResuming)

  var eventType: String {
    switch self {
    case .claim: "OwnerClaim.v1"
    case .released: "OwnerReleased.v1"
    case .accepted: "TurnAccepted.v1"
    case .planned: "PlanDecided.v1"
    case .started: "StepStarted.v1"
    case .finished: "StepFinished.v1"
    case .ended: "TurnEnded.v1"
    case .resuming: "TurnResuming.v1"
    }
  }

  var payload: JSON {
    switch self {
    case .claim(let record): record.json
    case .released(let record): record.json
    case .accepted(let record): record.json
    case .planned(let record): record.json
    case .started(let record): record.json
    case .finished(let record): record.json
    case .ended(let record): record.json
    case .resuming(let record): record.json
    }
  }

  /// The turn it is about; nil for records about ownership.
  package var turnID: ULID? {
    switch self {
    case .claim, .released: nil
    case .accepted(let record): record.turnID
    case .planned(let record): record.turnID
    case .started(let record): record.turnID
    case .finished(let record): record.turnID
    case .ended(let record): record.turnID
    case .resuming(let record): record.turnID
    }
  }

  /// Reads the record inside an envelope; nil for a type this version does not fold, and for a
  /// payload that lacks what its type needs.
  package init?(_ envelope: EnvelopeScanner) {
    guard let payload = try? envelope.payloadJSON(), let type = envelope.text(envelope.type) else {
      return nil
    }
    let decoded: JournalRecord? =
      switch type {
      case "OwnerClaim.v1": OwnerClaim(json: payload).map { .claim($0) }
      case "OwnerReleased.v1": .released(OwnerReleased(json: payload))
      case "TurnAccepted.v1": TurnAccepted(json: payload).map { .accepted($0) }
      case "PlanDecided.v1": PlanRecord(json: payload).map { .planned($0) }
      case "StepStarted.v1": StepStarted(json: payload).map { .started($0) }
      case "StepFinished.v1": StepFinished(json: payload).map { .finished($0) }
      case "TurnEnded.v1": TurnEnded(json: payload).map { .ended($0) }
      case "TurnResuming.v1": TurnResuming(json: payload).map { .resuming($0) }
      default: nil
      }
    guard let decoded else { return nil }
    self = decoded
  }
}

/// How much of the journal has been published on the seed's topics, and acknowledged there: a new
/// owner publishes again what lies above (SEMANTICS D20).
package struct PublishedMark: Sendable, Hashable {
  /// Journal records below this offset are published.
  package var journal: UInt64

  var json: JSON { .int(Int64(journal)) }
}

/// A node takes a partition (SEMANTICS D7).
package struct OwnerClaim: Sendable {
  /// Attempts are epochs times 2¹⁶ and must fit 64 bits; an owner a second takes longer than there
  /// is.
  static let epochMax: Int64 = 1 << 40

  package var node: String
  package var claim: UInt128
  package var epoch: UInt64
  /// Turns with a running step that unreleased owners left behind, and how often (D19).
  package var takeovers: [ULID: Int]

  var json: JSON {
    var counts = JSONObject()
    for (turn, count) in takeovers.sorted(by: { $0.key < $1.key }) {
      counts[turn.description] = .int(Int64(count))
    }
    return [
      "node": .string(node), "claim": .string(Hex.encode(claim)), "epoch": .int(Int64(epoch)),
      "fold_version": .int(Int64(EngineLimits.foldVersion)), "takeovers": .object(counts),
    ]
  }

  init(node: String, claim: UInt128, epoch: UInt64, takeovers: [ULID: Int]) {
    self.node = node
    self.claim = claim
    self.epoch = epoch
    self.takeovers = takeovers
  }

  init?(json: JSON) {
    guard let node = json["node"]?.string,
      let claim = json["claim"]?.string.flatMap({ UInt128($0, radix: 16) }),
      let epoch = json["epoch"]?.int, (1...Self.epochMax).contains(epoch)
    else { return nil }
    self.init(node: node, claim: claim, epoch: UInt64(epoch), takeovers: [:])
    for member in json["takeovers"]?.object?.members ?? [] {
      guard let turn = ULID(member.name), let count = member.value.int else { return nil }
      takeovers[turn] = Int(count)
    }
  }
}

/// The last record of an owner that stopped in order: nobody was left behind (SEMANTICS D9).
package struct OwnerReleased: Sendable {
  package var published: PublishedMark?

  var json: JSON { published.map { ["published": $0.json] } ?? [:] }

  init(published: PublishedMark?) { self.published = published }

  init(json: JSON) {
    published = json["published"]?.int.map { PublishedMark(journal: UInt64(max(0, $0))) }
  }
}

/// The turn that is resumed now, alone, because its steps have not survived before (SEMANTICS
/// D19): should the node die again, this is the one to blame.
package struct TurnResuming: Sendable {
  package var turnID: ULID

  var json: JSON { ["turn_id": .string(turnID.description)] }

  init(turnID: ULID) { self.turnID = turnID }

  init?(json: JSON) {
    guard let turn = json["turn_id"]?.string.flatMap({ ULID($0) }) else { return nil }
    turnID = turn
  }
}
