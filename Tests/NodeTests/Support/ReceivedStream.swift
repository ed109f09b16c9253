import Base

/// What a client keeps of a stream (SEMANTICS D20): written apart from the program, as its judge.
struct ReceivedStream: Sendable {
  private(set) var records: [UInt64: TestHTTP.Event] = [:]
  private(set) var terminals: [TestHTTP.Event] = []
  private(set) var lastID: String?
  /// What D20 does not allow.
  private(set) var violations: [String] = []
  private var attempt: UInt64 = 0

  mutating func feed(_ event: TestHTTP.Event) {
    let from = event.data["discard_from"]?.int.map { UInt64($0) }
    if event.name == "reset", let from {
      records = records.filter { $0.key < from }
      if event.id == nil, from == 1 { attempt = 0 }
    }
    if let id = event.id {
      let parts = id.split(separator: ".").compactMap { UInt64($0) }
      guard parts.count == 2 else { return violations.append("no position: \(id)") }
      if event.name == "reset", parts[0] <= attempt { violations.append("reset \(id) is old") }
      if event.name == "reset", parts[1] != from { violations.append("reset \(id) is elsewhere") }
      guard parts[0] >= attempt else { return violations.append("\(id) after \(attempt)") }
      attempt = parts[0]
      if records[parts[1]] != nil { violations.append("\(id) stands already") }
      records[parts[1]] = event
      lastID = id
    }
    if event.isTerminal { terminals.append(event) }
  }

  /// The text of the step that the terminal names.
  var text: String {
    let step = terminals.last?.data["step_id"]?.string
    return records.sorted { $0.key < $1.key }.map(\.value)
      .filter { $0.name == "delta" && $0.data["step_id"]?.string == step }
      .compactMap { $0.data["text"]?.string }.joined()
  }

  var hasHoles: Bool {
    records.keys.sorted() != Array(1..<UInt64(records.count + 1))
  }
}
