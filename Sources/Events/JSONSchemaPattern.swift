/// The regular expression of `pattern`: ECMA-262 syntax without what needs backtracking, matched
/// anywhere in the text unless anchored, in time linear in the text (Thompson's construction, all
/// alternatives followed at once).
struct SchemaPattern: Sendable {
  /// Instructions of a compiled pattern; counted repeats are copies, so `a{9999}` is refused.
  static let sizeMax = 1_000
  /// Nesting of groups.
  static let depthMax = 32

  /// Why a pattern is refused.
  struct Failure: Error {
    var reason: String
  }

  enum Instruction: Sendable {
    case one(CharacterSet)
    /// Continue at both places.
    case split(Int, Int)
    case jump(Int)
    case start
    case end
    case wordBoundary(Bool)
    case match
  }

  /// A set of Unicode scalars: sorted ranges would be faster; patterns have a few.
  struct CharacterSet: Sendable {
    var ranges: [ClosedRange<UInt32>]
    var isInverted = false

    func contains(_ scalar: UInt32) -> Bool {
      ranges.contains { $0.contains(scalar) } != isInverted
    }
  }

  let source: String
  private let program: [Instruction]

  init(_ source: String) throws(Failure) {
    self.source = source
    var compiler = PatternCompiler(source)
    program = try compiler.compile()
  }

  var size: Int { program.count }

  func matches(_ text: String) -> Bool {
    var current = ThreadList(count: program.count)
    var next = ThreadList(count: program.count)
    var previous: UInt32?
    var rest = text.unicodeScalars.makeIterator()
    var scalar = rest.next()?.value
    while true {
      // A match may begin at every place.
      let context = Context(previous: previous, next: scalar)
      if follow(0, context, &current) { return true }
      guard let read = scalar else { return false }
      let following = rest.next()?.value
      let after = Context(previous: read, next: following)
      for index in 0..<current.count {
        guard case .one(let set) = program[current[index]], set.contains(read) else { continue }
        if follow(current[index] + 1, after, &next) { return true }
      }
      swap(&current, &next)
      next.clear()
      previous = read
      scalar = following
    }
  }

  private struct Context {
    var previous: UInt32?
    var next: UInt32?

    var isAtWordBoundary: Bool { isWord(previous) != isWord(next) }

    private func isWord(_ scalar: UInt32?) -> Bool {
      scalar.map { PatternCompiler.word.contains($0) } ?? false
    }
  }

  /// Places of the program, each at most once, in a sparse set that clears in constant time.
  private struct ThreadList {
    private var places: [Int] = []
    private var generation: [Int]
    private var current = 1

    init(count: Int) { generation = [Int](repeating: 0, count: count) }

    var count: Int { places.count }
    subscript(index: Int) -> Int { places[index] }

    mutating func visit(_ place: Int) -> Bool {
      guard generation[place] != current else { return false }
      generation[place] = current
      return true
    }

    mutating func add(_ place: Int) { places.append(place) }

    mutating func clear() {
      places.removeAll(keepingCapacity: true)
      current += 1
    }
  }

  /// Adds what is reached from `place` without reading; true when that is the end.
  private func follow(_ place: Int, _ context: Context, _ list: inout ThreadList) -> Bool {
    var pending = [place]
    while let place = pending.popLast() {
      guard list.visit(place) else { continue }
      switch program[place] {
      case .match: return true
      case .one: list.add(place)
      case .jump(let target): pending.append(target)
      case .split(let first, let second): pending += [second, first]
      case .start: if context.previous == nil { pending.append(place + 1) }
      case .end: if context.next == nil { pending.append(place + 1) }
      case .wordBoundary(let wanted):
        if context.isAtWordBoundary == wanted { pending.append(place + 1) }
      }
    }
    return false
  }
}
