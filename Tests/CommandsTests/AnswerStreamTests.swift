// Contract (SEMANTICS D20, SURFACE `kfm ask`): what stands on the output since its last break is
// the turn's answer, whatever resets a crash or a repeated step put into the stream; a program that
// reads a pipe gets exactly the answer.
// Not shown here: the connection, and attaching again.
import Base
import Commands
import Testing

@Suite struct AnswerStreamTests {
  /// Runs events through a stream and keeps what a reader of the output sees.
  struct Screen {
    var stream: AnswerStream
    /// Everything that was written since the last break, and the breaks' notices.
    var line = ""
    var everything = ""
    var breaks = 0
    var notices = 0
    var ends: [TurnEnd] = []

    init(_ manner: AnswerStream.Manner) { stream = AnswerStream(manner) }

    mutating func feed(_ name: String, _ id: String?, _ data: JSON) {
      for action in stream.receive(ReceivedEvent(name: name, id: id, data: data)) {
        switch action {
        case .write(let text):
          line += text
          everything += text
        case .breakOff(let notice):
          line = ""
          breaks += 1
          if notice != nil { notices += 1 }
        case .ended(let end): ends.append(end)
        }
      }
    }

    mutating func delta(_ id: String, _ text: String, step: String = "S") {
      feed("delta", id, ["turn_id": "T", "step_id": .string(step), "text": .string(text)])
    }

    mutating func reset(_ id: String?, _ from: Int64) {
      feed("reset", id, ["turn_id": "T", "discard_from": .int(from)])
    }

    mutating func complete(_ id: String, _ answer: String) {
      feed("turn.completed", id, ["turn_id": "T", "step_id": "S", "answer": .string(answer)])
    }
  }

  /// The example of SURFACE: a crash after two deltas were shown and one was on the log.
  @Test(arguments: [AnswerStream.Manner.live, .whole])
  func theExampleOfTheSurface(manner: AnswerStream.Manner) {
    var screen = Screen(manner)
    screen.feed("turn.accepted", "65536.1", ["turn_id": "T"])
    screen.feed("plan", "65536.2", ["turn_id": "T"])
    screen.feed("step.started", "65536.3", ["turn_id": "T", "step_id": "S"])
    screen.delta("65536.4", "He")
    screen.delta("65536.5", "llo")
    screen.reset("131072.4", 4)
    screen.delta("131072.5", "Hel")
    screen.delta("131072.6", "lo")
    screen.feed("step.finished", "131072.7", ["turn_id": "T", "step_id": "S"])
    screen.complete("131072.8", "Hello")
    #expect(screen.line == "Hello\n")
    #expect(screen.ends.count == 1)
    #expect(screen.breaks == (manner == .live ? 1 : 0))
    #expect(screen.notices == screen.breaks)
    #expect(screen.everything == (manner == .live ? "HelloHello\n" : "Hello\n"))
  }

  @Test func whatStandsBeforeTheResetIsShownAgain() {
    var screen = Screen(.live)
    screen.delta("65536.4", "One, ")
    screen.delta("65536.5", "tow")
    screen.reset("65537.5", 5)
    screen.delta("65537.6", "two")
    screen.complete("65537.7", "One, two")
    #expect(screen.line == "One, two\n")
    #expect(screen.notices == 1)
  }

  @Test func aResetBeforeAnyTextBreaksNothing() {
    var screen = Screen(.live)
    screen.feed("turn.accepted", "65536.1", ["turn_id": "T"])
    screen.reset("131072.2", 2)
    screen.delta("131072.3", "x")
    screen.complete("131072.4", "x")
    #expect(screen.breaks == 0)
    #expect(screen.line == "x\n")
  }

  @Test func recordsOfALowerAttemptAreDropped() {
    var screen = Screen(.live)
    screen.delta("131072.4", "new")
    screen.delta("65536.5", "old")
    screen.complete("131072.5", "new")
    #expect(screen.line == "new\n")
    #expect(screen.breaks == 0)
  }

  @Test func aResetWithoutIdClearsTheHighestAttempt() {
    var screen = Screen(.live)
    screen.delta("196608.2", "void")
    screen.reset(nil, 1)
    screen.delta("65536.2", "good")
    screen.complete("65536.3", "good")
    #expect(screen.line == "good\n")
    #expect(screen.stream.lastEventID == "65536.3")
  }

  @Test func textOfAnEarlierStepStaysItsOwn() {
    for manner in [AnswerStream.Manner.live, .whole] {
      var screen = Screen(manner)
      screen.delta("65536.4", "I look it up.", step: "A")
      screen.delta("65536.8", "It is 7.", step: "S")
      screen.complete("65536.9", "It is 7.")
      #expect(screen.line == "It is 7.\n")
      #expect(screen.notices == 0)
      #expect(screen.everything.contains("look") == (manner == .live))
    }
  }

  @Test func anAnswerThatEndsItsLineGetsNoOther() {
    var screen = Screen(.whole)
    screen.complete("65536.2", "one\n")
    #expect(screen.everything == "one\n")
  }

  @Test func aTurnWithoutTextWritesNothing() {
    var screen = Screen(.whole)
    screen.feed("turn.failed", "65536.2", ["turn_id": "T", "error": ["code": "internal"]])
    #expect(screen.everything.isEmpty)
    #expect(screen.ends.first?.exitCode == .turnFailed)
  }

  /// Streams that follow D20, from a printed seed: random deltas of two steps, resets of this
  /// epoch and of later ones, with and without ids.
  @Test func whateverResetsTheLineIsTheAnswer() {
    let seed: UInt64 = 20_261_125
    print("AnswerStreamTests seed \(seed)")
    let random = SeededRandom(seed: seed)
    for _ in 0..<2_000 {
      var stream = RandomStream(random)
      var live = Screen(.live)
      var whole = Screen(.whole)
      for event in stream.run() {
        live.feed(event.name, event.id, event.data)
        whole.feed(event.name, event.id, event.data)
      }
      let answer = stream.answer
      let expected = answer.isEmpty || answer.hasSuffix("\n") ? answer : answer + "\n"
      #expect(live.line == expected)
      #expect(whole.everything == expected)
      #expect(live.ends.count == 1 && whole.ends.count == 1)
    }
  }

  /// Writes a stream as a node does: sequence numbers of what stands have no holes.
  struct RandomStream {
    private let random: SeededRandom
    private var events: [ReceivedEvent] = []
    /// Step and text by sequence number; nil where no delta stands.
    private var standing: [(step: String, text: String)?] = []
    private var epoch: UInt64 = 1
    private var resets: UInt64 = 0

    init(_ random: SeededRandom) { self.random = random }

    var answer: String {
      standing.compactMap { $0 }.filter { $0.step == "S" }.map(\.text).joined()
    }

    mutating func run() -> [ReceivedEvent] {
      add("turn.accepted", ["turn_id": "T"], nil)
      for _ in 0..<random.next(below: 20) {
        switch random.next(below: 6) {
        case 0: reset()
        case 1: repeatWithoutID()
        default: delta(step: random.next(below: 4) == 0 ? "A" : "S")
        }
      }
      let end: JSON = ["turn_id": "T", "step_id": "S", "answer": .string(answer)]
      add("turn.completed", end, nil)
      return events
    }

    private var position: String { "\(epoch << 16 + resets).\(standing.count)" }

    private mutating func add(_ name: String, _ data: JSON, _ piece: (String, String)?) {
      standing.append(piece.map { (step: $0.0, text: $0.1) })
      events.append(ReceivedEvent(name: name, id: position, data: data))
    }

    private mutating func delta(step: String) {
      let text = ["a", "bc", "", "d\n", "é"][Int(random.next(below: 5))]
      add(
        "delta", ["turn_id": "T", "step_id": .string(step), "text": .string(text)], (step, text))
    }

    private mutating func reset() {
      let first = 2 + Int(random.next(below: UInt64(standing.count)))
      standing.removeSubrange(min(first - 1, standing.count)...)
      if random.next(below: 2) == 0 {
        resets += 1
      } else {
        epoch += 1
        resets = 0
      }
      add("reset", ["turn_id": "T", "discard_from": .int(Int64(standing.count + 1))], nil)
    }

    /// A client attached at a position that is not known: everything is sent again.
    private mutating func repeatWithoutID() {
      let kept = standing
      events.append(
        ReceivedEvent(name: "reset", id: nil, data: ["turn_id": "T", "discard_from": 1]))
      standing = []
      for piece in kept {
        guard let piece else {
          add("step.started", ["turn_id": "T"], nil)
          continue
        }
        add(
          "delta",
          ["turn_id": "T", "step_id": .string(piece.step), "text": .string(piece.text)],
          (piece.step, piece.text))
      }
    }
  }
}
