import Base
import Events
import HTTP

/// Reads query parameters strictly: unknown, doubled and malformed ones are refused by name.
struct QueryReader {
  private let target: RequestTarget

  /// `names` are the parameters of the route.
  init(_ target: RequestTarget, names: String...) throws(Problem) {
    self.target = target
    var seen: Set<String> = []
    for parameter in target.query {
      guard names.contains(parameter.name) else {
        let known = names.isEmpty ? "it takes none" : "it takes \(names.joined(separator: ", "))"
        throw Problem(
          .fieldUnknown, "the route has no query parameter '\(parameter.name)'; \(known)")
      }
      guard seen.insert(parameter.name).inserted else {
        throw Problem(.fieldInvalid, "the query parameter '\(parameter.name)' is given twice")
      }
    }
  }

  func integer(_ name: String, in range: ClosedRange<Int>) throws(Problem) -> Int? {
    guard let text = target.parameter(name) else { return nil }
    guard let value = Self.digits(text).flatMap({ Int(exactly: $0) }), range.contains(value) else {
      throw invalid(name, "a number of \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  func turnID(_ name: String) throws(Problem) -> ULID? {
    guard let text = target.parameter(name) else { return nil }
    guard let id = ULID(text) else { throw invalid(name, "a turn id") }
    return id
  }

  func flag(_ name: String) throws(Problem) -> Bool {
    switch target.parameter(name) {
    case nil, "false": return false
    case "true": return true
    default: throw invalid(name, "true or false")
    }
  }

  func tailStart(_ name: String) throws(Problem) -> TailRequest.Start? {
    switch target.parameter(name) {
    case nil: return nil
    case "first": return .first
    case "last": return .last
    case let text?:
      guard let offset = Self.digits(text) else {
        throw invalid(name, "first, last or an offset")
      }
      return .offset(offset)
    }
  }

  private static func digits(_ text: String) -> UInt64? {
    text.utf8.allSatisfy { (48...57).contains($0) } ? UInt64(text) : nil
  }

  private func invalid(_ name: String, _ expected: String) -> Problem {
    Problem(.fieldInvalid, "the query parameter '\(name)' is wrong; expected \(expected)")
  }
}
