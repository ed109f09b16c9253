import Base
import Events

/// A client that watches one turn, loses its connection and comes back where it was.
final class SimulatedClient: TurnStreamSubscriber {
  /// The simulation kills nodes; a partition is not lost under one that lives.
  func lost() { preconditionFailure("a partition was lost under a living owner") }

  let turnID: ULID
  private(set) var view = ReaderView()
  /// Nil while it is not connected.
  var connection: (any Cancellable)?
  var isConnecting = false
  /// It came when everything had come to rest.
  var isFresh = false
  private let model: SimulationModel

  init(_ turnID: ULID, _ model: SimulationModel) {
    self.turnID = turnID
    self.model = model
  }

  func receive(_ events: [StreamEvent]) {
    if connection == nil { model.complain("a client gets events before it is attached") }
    for event in events {
      guard let data = try? JSON(parsing: event.data) else {
        model.complain("\(event.name) shows no JSON")
        continue
      }
      if ReaderView.isTerminal(event.name), model.turns[turnID.description]?.end == nil {
        model.complain("\(event.name) is shown before it is settled")
      }
      if event.name == "reset" {
        model.count(event.position == nil ? "reset without id" : "reset seen live")
      }
      if let complaint = view.take(event.name, event.position, data) {
        model.complain("client of \(turnID): \(complaint)")
      }
    }
    if view.isEnded { connection = nil }
  }

  func disconnect() {
    connection?.cancel()
    connection = nil
    isConnecting = false
  }
}
