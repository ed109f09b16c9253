/// Rows in aligned columns, for people.
struct TextTable {
  enum Alignment { case left, right }

  struct Column {
    var title: String
    var alignment: Alignment

    init(_ title: String, _ alignment: Alignment = .left) {
      self.title = title
      self.alignment = alignment
    }
  }

  private let columns: [Column]
  private var rows: [[String]] = []

  init(_ columns: [Column]) { self.columns = columns }

  var isEmpty: Bool { rows.isEmpty }

  mutating func add(_ cells: [String]) {
    precondition(cells.count == columns.count, "a row has one cell a column")
    // A table is one line a row, whatever a cell was given.
    rows.append(cells.map { String($0.map { $0.isNewline ? " " : $0 }) })
  }

  /// A table without rows has no lines either.
  func write(to output: OutputWriter) {
    guard !rows.isEmpty else { return }
    let widths = columns.indices.map { column in
      ([columns[column].title] + rows.map { $0[column] }).map(\.count).max() ?? 0
    }
    output.line(output.style.bold(line(columns.map(\.title), widths)))
    for row in rows { output.line(line(row, widths)) }
  }

  private func line(_ cells: [String], _ widths: [Int]) -> String {
    var text = ""
    for (index, cell) in cells.enumerated() {
      let padding = String(repeating: " ", count: widths[index] - cell.count)
      let isLast = index == cells.count - 1
      switch columns[index].alignment {
      case .right: text += padding + cell
      case .left: text += isLast ? cell : cell + padding
      }
      if !isLast { text += "  " }
    }
    return text
  }
}
