/// Parses a pattern and emits its program.
struct PatternCompiler {
  private typealias Instruction = SchemaPattern.Instruction
  private typealias CharacterSet = SchemaPattern.CharacterSet
  private typealias Failure = SchemaPattern.Failure

  static let digit = SchemaPattern.CharacterSet(ranges: [48...57])
  static let word = SchemaPattern.CharacterSet(ranges: [48...57, 65...90, 95...95, 97...122])
  /// WhiteSpace and LineTerminator of ECMA-262.
  static let space = SchemaPattern.CharacterSet(ranges: [
    0x09...0x0D, 0x20...0x20, 0xA0...0xA0, 0x1680...0x1680, 0x2000...0x200A, 0x2028...0x2029,
    0x202F...0x202F, 0x205F...0x205F, 0x3000...0x3000, 0xFEFF...0xFEFF,
  ])
  private static let lineEnds: [ClosedRange<UInt32>] = [
    0x0A...0x0A, 0x0D...0x0D, 0x2028...0x2029,
  ]

  private let scalars: [UnicodeScalar]
  private var at = 0

  init(_ source: String) { scalars = Array(source.unicodeScalars) }

  mutating func compile() throws(SchemaPattern.Failure) -> [SchemaPattern.Instruction] {
    let program = try alternation(depth: 0)
    guard at == scalars.count else { throw failure("a ')' without '('") }
    return try bounded(program + [.match])
  }

  /// Code is position-independent until here: targets are relative while it is assembled.
  private mutating func alternation(depth: Int) throws(SchemaPattern.Failure) -> [Instruction] {
    var code = try sequence(depth: depth)
    while take("|") {
      let other = try sequence(depth: depth)
      code =
        try bounded(
          [.split(1, code.count + 2)] + code.shifted(by: 1) + [.jump(code.count + 2 + other.count)]
            + other.shifted(by: code.count + 2))
    }
    return code
  }

  private mutating func sequence(depth: Int) throws(SchemaPattern.Failure) -> [Instruction] {
    var code: [Instruction] = []
    while at < scalars.count, scalars[at] != "|", scalars[at] != ")" {
      let (atom, isQuantifiable) = try atom(depth: depth)
      let part = try quantified(atom, isQuantifiable: isQuantifiable)
      code = try bounded(code + part.shifted(by: code.count))
    }
    return code
  }

  private mutating func atom(
    depth: Int
  ) throws(SchemaPattern.Failure) -> (code: [Instruction], isQuantifiable: Bool) {
    let scalar = scalars[at]
    at += 1
    switch scalar {
    case "^": return ([.start], false)
    case "$": return ([.end], false)
    case ".": return ([.one(CharacterSet(ranges: Self.lineEnds, isInverted: true))], true)
    case "(": return (try group(depth: depth), true)
    case "[": return ([.one(try characterClass())], true)
    case "\\": return try escape()
    case "*", "+", "?", "{": throw failure("'\(scalar)' repeats nothing")
    case "]", "}": throw failure("'\(scalar)' must be escaped")
    default: return ([.one(CharacterSet(ranges: [scalar.value...scalar.value]))], true)
    }
  }

  private mutating func group(depth: Int) throws(SchemaPattern.Failure) -> [Instruction] {
    guard depth < SchemaPattern.depthMax else {
      throw failure("groups nested deeper than \(SchemaPattern.depthMax)")
    }
    if take("?") {
      guard take(":") else {
        throw failure("'(?' other than '(?:' is not supported: no look-around, no names")
      }
    }
    let code = try alternation(depth: depth + 1)
    guard take(")") else { throw failure("a '(' without ')'") }
    return code
  }

  private mutating func quantified(
    _ atom: [Instruction], isQuantifiable: Bool
  ) throws(SchemaPattern.Failure) -> [Instruction] {
    guard at < scalars.count, let (minimum, maximum) = try quantifier() else { return atom }
    guard isQuantifiable else { throw failure("an assertion cannot be repeated") }
    // Lazy or greedy finds the same matches; only whether there is one counts here.
    _ = take("?")
    if at < scalars.count, "*+?{".unicodeScalars.contains(scalars[at]) {
      throw failure("'\(scalars[at])' repeats nothing")
    }
    guard minimum * atom.count <= SchemaPattern.sizeMax,
      (maximum ?? 0) * (atom.count + 1) <= SchemaPattern.sizeMax
    else { throw tooLarge }
    var code: [Instruction] = []
    for _ in 0..<minimum { code += atom.shifted(by: code.count) }
    if let maximum {
      let end = code.count + (maximum - minimum) * (atom.count + 1)
      for _ in minimum..<maximum {
        code.append(.split(code.count + 1, end))
        code += atom.shifted(by: code.count)
      }
    } else {
      let start = code.count
      code.append(.split(start + 1, start + atom.count + 2))
      code += atom.shifted(by: start + 1) + [.jump(start)]
    }
    return try bounded(code)
  }

  /// Reads `*`, `+`, `?`, `{n}`, `{n,}` or `{n,m}`; nil when none stands here.
  private mutating func quantifier() throws(SchemaPattern.Failure) -> (Int, Int?)? {
    if take("*") { return (0, nil) }
    if take("+") { return (1, nil) }
    if take("?") { return (0, 1) }
    guard take("{") else { return nil }
    let minimum = try repeatCount()
    var maximum: Int? = minimum
    if take(",") {
      maximum = at < scalars.count && scalars[at] == "}" ? nil : try repeatCount()
    }
    guard take("}") else { throw failure("expected '{n}', '{n,}' or '{n,m}'") }
    if let maximum, maximum < minimum { throw failure("a repeat whose bounds are out of order") }
    return (minimum, maximum)
  }

  private mutating func repeatCount() throws(SchemaPattern.Failure) -> Int {
    let start = at
    var count = 0
    while at < scalars.count, (48...57).contains(scalars[at].value) {
      count = min(count * 10 + Int(scalars[at].value - 48), SchemaPattern.sizeMax + 1)
      at += 1
    }
    guard at > start else { throw failure("expected '{n}', '{n,}' or '{n,m}'") }
    guard count <= SchemaPattern.sizeMax else { throw tooLarge }
    return count
  }

  /// After a backslash outside a class.
  private mutating func escape() throws(SchemaPattern.Failure) -> ([Instruction], Bool) {
    guard at < scalars.count else { throw failure("a backslash at the end") }
    switch scalars[at] {
    case "b", "B":
      at += 1
      return ([.wordBoundary(scalars[at - 1] == "b")], false)
    case "1"..."9", "k": throw failure("back-references are not supported")
    default: return ([.one(try escapedSet())], true)
    }
  }

  /// After a backslash: a class like `\d`, or one character.
  private mutating func escapedSet() throws(SchemaPattern.Failure) -> CharacterSet {
    guard at < scalars.count else { throw failure("a backslash at the end") }
    let scalar = scalars[at]
    at += 1
    switch scalar {
    case "d": return Self.digit
    case "D": return CharacterSet(ranges: Self.digit.ranges, isInverted: true)
    case "w": return Self.word
    case "W": return CharacterSet(ranges: Self.word.ranges, isInverted: true)
    case "s": return Self.space
    case "S": return CharacterSet(ranges: Self.space.ranges, isInverted: true)
    case "p", "P": throw failure("Unicode properties are not supported")
    default:
      let value = try escapedScalar(scalar)
      return CharacterSet(ranges: [value...value])
    }
  }

  private mutating func escapedScalar(
    _ scalar: UnicodeScalar
  ) throws(SchemaPattern.Failure) -> UInt32 {
    switch scalar {
    case "n": return 0x0A
    case "r": return 0x0D
    case "t": return 0x09
    case "v": return 0x0B
    case "f": return 0x0C
    case "0": return 0
    case "x": return try hexadecimal(digits: 2)
    case "u":
      guard take("{") else { return try hexadecimal(digits: 4) }
      let value = try hexadecimal(digits: nil)
      guard take("}"), value <= 0x10FFFF else { throw failure("a wrong '\\u{…}'") }
      return value
    case "^", "$", "\\", ".", "*", "+", "?", "(", ")", "[", "]", "{", "}", "|", "/", "-":
      return scalar.value
    default: throw failure("'\\\(scalar)' is no escape")
    }
  }

  /// `digits` nil reads one to six of them.
  private mutating func hexadecimal(digits: Int?) throws(SchemaPattern.Failure) -> UInt32 {
    var value: UInt32 = 0
    let start = at
    while at < scalars.count, at - start < digits ?? 6,
      let digit = Character(scalars[at]).hexDigitValue, scalars[at].isASCII
    {
      value = value << 4 | UInt32(digit)
      at += 1
    }
    guard at > start, digits == nil || at - start == digits else {
      throw failure("a wrong hexadecimal escape")
    }
    return value
  }

  /// After '['.
  private mutating func characterClass() throws(SchemaPattern.Failure) -> CharacterSet {
    var ranges: [ClosedRange<UInt32>] = []
    let isInverted = take("^")
    while at < scalars.count, scalars[at] != "]" {
      let low = try classMember()
      guard at + 1 < scalars.count, scalars[at] == "-", scalars[at + 1] != "]" else {
        ranges += low
        continue
      }
      at += 1
      let high = try classMember()
      guard low.count == 1, high.count == 1, low[0].count == 1, high[0].count == 1,
        low[0].lowerBound <= high[0].lowerBound
      else { throw failure("a wrong range in a class") }
      ranges.append(low[0].lowerBound...high[0].lowerBound)
    }
    guard take("]") else { throw failure("a '[' without ']'") }
    return CharacterSet(ranges: ranges, isInverted: isInverted)
  }

  private mutating func classMember() throws(SchemaPattern.Failure) -> [ClosedRange<UInt32>] {
    let scalar = scalars[at]
    at += 1
    guard scalar == "\\" else { return [scalar.value...scalar.value] }
    if at < scalars.count, scalars[at] == "b" {
      at += 1
      return [8...8]
    }
    let set = try escapedSet()
    return set.isInverted ? Self.complement(of: set.ranges) : set.ranges
  }

  /// What is outside `ranges`, which are sorted and apart.
  private static func complement(of ranges: [ClosedRange<UInt32>]) -> [ClosedRange<UInt32>] {
    var out: [ClosedRange<UInt32>] = []
    var next: UInt32 = 0
    for range in ranges {
      if range.lowerBound > next { out.append(next...range.lowerBound - 1) }
      next = range.upperBound + 1
    }
    return out + [next...0x10FFFF]
  }

  private mutating func take(_ scalar: UnicodeScalar) -> Bool {
    guard at < scalars.count, scalars[at] == scalar else { return false }
    at += 1
    return true
  }

  private func bounded(
    _ code: [Instruction]
  ) throws(SchemaPattern.Failure) -> [Instruction] {
    guard code.count <= SchemaPattern.sizeMax else { throw tooLarge }
    return code
  }

  private var tooLarge: SchemaPattern.Failure {
    Failure(reason: "a pattern that needs more than \(SchemaPattern.sizeMax) steps")
  }

  private func failure(_ reason: String) -> SchemaPattern.Failure {
    Failure(reason: "'pattern' at character \(at): \(reason)")
  }
}

extension [SchemaPattern.Instruction] {
  /// The same code for a place `distance` further on.
  fileprivate func shifted(by distance: Int) -> Self {
    map { instruction in
      switch instruction {
      case .split(let first, let second): .split(first + distance, second + distance)
      case .jump(let target): .jump(target + distance)
      default: instruction
      }
    }
  }
}
