import CToml

/// A TOML value with the place it stands at.
struct TomlNode {
  enum Value {
    case string(String)
    case integer(Int64)
    case number(Double)
    case boolean(Bool)
    /// Nothing in a configuration is a date; which one does not matter.
    case dateTime
    case array([TomlNode])
    /// In the order of the file.
    case table([Member])
  }

  struct Member {
    var name: String
    var line: Int
    var node: TomlNode
  }

  var value: Value
  /// Counted from 1; 0 is unknown.
  var line: Int

  /// In words, for messages.
  var kindName: String {
    switch value {
    case .string: "a string"
    case .integer: "an integer"
    case .number: "a number"
    case .boolean: "a boolean"
    case .dateTime: "a date"
    case .array: "an array"
    case .table: "a table"
    }
  }
}

struct TomlError: Error {
  var line: Int
  var reason: String
}

/// Parsing through toml++, which follows TOML 1.0 and knows lines.
enum TomlDocument {
  /// A dotted key opens a table a dot, and tables inside tables are freed by recursion: a long
  /// enough key would overflow the stack. Dots in strings count too; a list of addresses fits.
  static let lineDotsMax = 128

  static func parse(_ text: [UInt8]) throws(TomlError) -> TomlNode {
    for (index, line) in text.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated()
    where line.count(where: { $0 == UInt8(ascii: ".") }) > lineDotsMax {
      throw TomlError(line: index + 1, reason: "more than \(lineDotsMax) dots in one line")
    }
    let builder = Builder()
    var failure = kfm_toml_error()
    let isRead = text.withUnsafeBytes { bytes in
      kfm_toml_walk(
        bytes.bindMemory(to: CChar.self).baseAddress, bytes.count,
        { context, node in
          let builder = Unmanaged<Builder>.fromOpaque(context!).takeUnretainedValue()
          builder.visit(node!.pointee)
        }, Unmanaged.passUnretained(builder).toOpaque(), &failure)
    }
    guard isRead == 1 else {
      let reason = withUnsafeBytes(of: failure.message) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      throw TomlError(line: Int(failure.line), reason: reason)
    }
    return builder.root
  }

  /// Collects a walk's nodes into trees; a class, because C hands a pointer through.
  private final class Builder {
    private struct Open {
      var name: String?
      var nameLine: Int
      var line: Int
      var members: [TomlNode.Member] = []
      var items: [TomlNode] = []
    }
    private var open: [Open] = []
    private(set) var root = TomlNode(value: .table([]), line: 1)

    func visit(_ node: kfm_toml_node) {
      switch Int(node.kind) {
      case KFM_TOML_TABLE_BEGIN, KFM_TOML_ARRAY_BEGIN:
        open.append(
          Open(name: name(of: node), nameLine: Int(node.key_line), line: Int(node.line)))
      case KFM_TOML_TABLE_END:
        let table = open.removeLast()
        // toml++ keeps members by name; people read them by line.
        let members = table.members.sorted { $0.line < $1.line }
        add(TomlNode(value: .table(members), line: table.line), table.name, table.nameLine)
      case KFM_TOML_ARRAY_END:
        let array = open.removeLast()
        add(TomlNode(value: .array(array.items), line: array.line), array.name, array.nameLine)
      default:
        add(
          TomlNode(value: scalar(node), line: Int(node.line)), name(of: node), Int(node.key_line))
      }
    }

    private func add(_ node: TomlNode, _ name: String?, _ nameLine: Int) {
      guard !open.isEmpty else {
        root = node
        return
      }
      if let name {
        open[open.count - 1].members.append(
          TomlNode.Member(name: name, line: nameLine == 0 ? node.line : nameLine, node: node))
      } else {
        open[open.count - 1].items.append(node)
      }
    }

    private func scalar(_ node: kfm_toml_node) -> TomlNode.Value {
      switch Int(node.kind) {
      case KFM_TOML_STRING: .string(text(node.string, node.string_length))
      case KFM_TOML_INTEGER: .integer(node.integer)
      case KFM_TOML_FLOAT: .number(node.number)
      case KFM_TOML_BOOLEAN: .boolean(node.integer == 1)
      default: .dateTime
      }
    }

    private func name(of node: kfm_toml_node) -> String? {
      node.key.map { text($0, node.key_length) }
    }

    private func text(_ bytes: UnsafePointer<CChar>?, _ count: Int) -> String {
      let buffer = UnsafeRawBufferPointer(start: bytes, count: count)
      return String(decoding: buffer, as: UTF8.self)
    }
  }
}
