/// One thing that is wrong with a pack, and where.
package struct PackIssue: Error, Hashable, Sendable, CustomStringConvertible {
  /// As it is shown: `archivist/manifest.yaml`.
  package var file: String
  /// Counted from 1; 0 means the file as a whole.
  package var line: Int
  /// `tools[0].timeout`, or "".
  package var key: String
  /// What is wrong; expected what.
  package var text: String

  /// `archivist/manifest.yaml:12: tools[0].timeout: what is wrong; expected …`
  package var description: String {
    let place = line > 0 ? "\(file):\(line): " : "\(file): "
    return place + (key.isEmpty ? text : "\(key): \(text)")
  }
}

/// Why a pack is refused: all that was found.
package struct PackFailure: Error, Sendable, CustomStringConvertible {
  package var issues: [PackIssue]

  package init(_ issues: [PackIssue]) { self.issues = issues }

  /// One issue a line.
  package var description: String { issues.map(\.description).joined(separator: "\n") }
}
