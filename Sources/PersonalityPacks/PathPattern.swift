/// A path pattern of `knowledge.include`: `*` and `?` inside a folder's or file's name, `**` for
/// any number of folders.
struct PathPattern: Sendable {
  /// Characters of a pattern.
  static let lengthMax = 256

  private let parts: [[UInt8]]

  /// Nil for a pattern that is empty, too long, absolute or that leads upwards.
  init?(_ text: String) {
    let parts = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    guard !text.isEmpty, text.utf8.count <= Self.lengthMax,
      parts.allSatisfy({ part in
        !part.isEmpty && !part.elementsEqual(".".utf8) && !part.elementsEqual("..".utf8)
      })
    else { return nil }
    self.parts = parts.map(Array.init)
  }

  func matches(_ path: String) -> Bool {
    let names = path.utf8.split(separator: UInt8(ascii: "/")).map(Array.init)
    // reached[n]: the parts so far can have consumed the first n names.
    var reached = [Bool](repeating: false, count: names.count + 1)
    reached[0] = true
    for part in parts {
      var next = [Bool](repeating: false, count: names.count + 1)
      if part == Array("**".utf8) {
        var isOpen = false
        for index in next.indices {
          isOpen = isOpen || reached[index]
          next[index] = isOpen
        }
      } else {
        for index in names.indices where reached[index] && Self.matches(names[index], part) {
          next[index + 1] = true
        }
      }
      reached = next
    }
    return reached[names.count]
  }

  /// One name against `*` and `?`; goes back to the last `*` only, which is enough.
  private static func matches(_ name: [UInt8], _ pattern: [UInt8]) -> Bool {
    var at = 0
    var place = 0
    var star: (place: Int, at: Int)?
    while at < name.count {
      if place < pattern.count, pattern[place] == UInt8(ascii: "*") {
        star = (place, at)
        place += 1
      } else if place < pattern.count,
        pattern[place] == name[at] || pattern[place] == UInt8(ascii: "?")
      {
        place += 1
        at += 1
      } else if let last = star {
        star = (last.place, last.at + 1)
        place = last.place + 1
        at = last.at + 1
      } else {
        return false
      }
    }
    return pattern[place...].allSatisfy { $0 == UInt8(ascii: "*") }
  }
}
