import Base
import Events

/// What a reader of a turn's stream holds, by the rules of SEMANTICS D20, written down once more
/// and without the engine's code: it is what the engine is measured against.
struct ReaderView {
  struct Item: Equatable {
    var position: StreamPosition
    var name: String
    var stepID: String
    var text: String
  }

  private(set) var items: [Item] = []
  private(set) var attempt: UInt64 = 0
  /// The id of the last event that had one, as a browser keeps it.
  private(set) var lastEventID: String?
  private(set) var terminal: JSON?

  var isEnded: Bool { terminal != nil }

  /// Takes one event; says what is wrong with it, nil when nothing is.
  mutating func take(_ name: String, _ position: StreamPosition?, _ data: JSON) -> String? {
    if isEnded { return "\(name) after the terminal" }
    guard let position else {
      guard name == "reset", let from = data["discard_from"]?.int, from >= 1 else {
        return "\(name) without a position"
      }
      items.removeAll { $0.position.sequence >= UInt64(from) }
      attempt = 0
      return nil
    }
    let complaint = name == "reset" ? reset(position, data) : inOrder(name, position)
    attempt = max(attempt, position.attempt)
    lastEventID = position.description
    items.append(
      Item(
        position: position, name: name, stepID: data["step_id"]?.string ?? "",
        text: data["text"]?.string ?? ""))
    if Self.isTerminal(name) { terminal = data }
    return complaint
  }

  private mutating func reset(_ position: StreamPosition, _ data: JSON) -> String? {
    guard let from = data["discard_from"]?.int, from >= 1,
      UInt64(from) == position.sequence, from <= items.count + 1
    else { return "reset \(data.text) at \(position), \(items.count) stand" }
    items.removeSubrange((Int(from) - 1)...)
    return position.attempt > attempt || attempt == 0
      ? nil : "reset at \(position) does not rise above \(attempt)"
  }

  private func inOrder(_ name: String, _ position: StreamPosition) -> String? {
    guard position.sequence == UInt64(items.count) + 1 else {
      return "\(name) at \(position), \(items.count) stand"
    }
    return position.attempt >= attempt ? nil : "\(name) at \(position) below \(attempt)"
  }

  /// The joined text of a step's standing deltas.
  func text(of stepID: String) -> String {
    items.filter { $0.name == "delta" && $0.stepID == stepID }.map(\.text).joined()
  }

  /// What stands without regard to how it came to: events by name and step, text joined.
  var essence: [String] {
    var lines: [String] = []
    var text = ""
    for item in items where item.name != "reset" {
      if item.name == "delta" {
        text += item.text
        continue
      }
      if !text.isEmpty { lines.append(text) }
      text = ""
      lines.append("\(item.name) \(item.stepID)")
    }
    return lines
  }

  static func isTerminal(_ name: String) -> Bool {
    name.hasPrefix("turn.") && name != "turn.accepted"
  }
}

/// A stream as it comes to stand on the log, with what only its writer must keep to.
struct LogStream {
  private(set) var view = ReaderView()
  private var eventIDs: Set<ULID> = []

  /// Takes a record of responses/p in the log's order.
  mutating func take(_ eventID: ULID, _ payload: JSON) -> String? {
    guard let name = payload["event"]?.string,
      let position = payload["position"]?.string.flatMap({ StreamPosition($0) })
    else { return "a response without event or position" }
    // At least once: what was published twice is there already.
    guard eventIDs.insert(eventID).inserted else { return nil }
    let isFirst = view.items.isEmpty
    if isFirst, name != "turn.accepted" { return "\(name) is the turn's first record" }
    if !isFirst, name != "reset", position.attempt != view.attempt {
      return "\(name) at \(position) leaves attempt \(view.attempt) without a reset"
    }
    if name == "reset", let complaint = attemptComplaint(position) { return complaint }
    return view.take(name, position, payload)
  }

  /// An attempt is the epoch and the turn's resets in it: it rises by one, or to a new epoch's
  /// first.
  private func attemptComplaint(_ position: StreamPosition) -> String? {
    let isSameEpoch = position.attempt >> 16 == view.attempt >> 16
    let wanted = isSameEpoch ? view.attempt + 1 : (position.attempt >> 16) << 16
    return position.attempt == wanted && wanted > view.attempt
      ? nil : "reset opens attempt \(position.attempt) after \(view.attempt)"
  }
}
