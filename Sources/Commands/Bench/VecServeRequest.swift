import Base

/// Why one line was not done; the driver answers it and goes on.
struct VecServeError: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}

/// One line of `kfm bench vec-serve`: an object with `op`, and what the operation needs.
struct VecServeRequest {
  private let members: JSON
  let operation: String

  init(_ line: [UInt8]) throws(VecServeError) {
    do throws(JSONError) { members = try JSON(parsing: line) } catch {
      throw VecServeError("not JSON: \(error)")
    }
    guard let operation = members["op"]?.string else {
      throw VecServeError("op: expected the name of an operation")
    }
    self.operation = operation
  }

  /// A whole number; `default` where the member is missing or null, which must be there else.
  func integer(
    _ name: String, in range: ClosedRange<Int>, default: Int? = nil
  ) throws(VecServeError) -> Int {
    let member = members[name]
    if member == nil || member!.isNull, let `default` { return `default` }
    guard let value = member?.int, let value = Int(exactly: value), range.contains(value) else {
      throw VecServeError(
        "\(name): expected a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  func path(_ name: String) throws(VecServeError) -> String {
    guard let path = members[name]?.string, !path.isEmpty else {
      throw VecServeError("\(name): expected a path")
    }
    return path
  }

  func optionalPath(_ name: String) throws(VecServeError) -> String? {
    guard let member = members[name], !member.isNull else { return nil }
    return try path(name)
  }

  func flag(_ name: String, default: Bool) throws(VecServeError) -> Bool {
    guard let member = members[name], !member.isNull else { return `default` }
    guard let value = member.bool else { throw VecServeError("\(name): expected true or false") }
    return value
  }

  func choice(_ name: String, of names: [String], default: String) throws(VecServeError) -> String {
    guard let member = members[name], !member.isNull else { return `default` }
    guard let value = member.string, names.contains(value) else {
      throw VecServeError("\(name): expected one of \(names.joined(separator: ", "))")
    }
    return value
  }
}
