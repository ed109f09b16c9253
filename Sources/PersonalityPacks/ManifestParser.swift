import CYAML

/// Reads the subset of YAML that a manifest needs, from libyaml's events: mappings, sequences and
/// scalars in any style. What YAML can do beyond that is refused, because it makes files that look
/// harmless and are not: anchors, aliases, tags, several documents, the same key twice.
struct ManifestParser {
  /// A manifest is written by hand.
  static let bytesMax = 256 << 10
  /// Levels of nesting; schemas of tools are the deepest part. Bounds the stack, too.
  static let depthMax = 32
  /// Scalars, sequences and mappings in all.
  static let nodesMax = 20_000

  /// At a fixed place: libyaml keeps a pointer to it inside.
  private let parser: UnsafeMutablePointer<yaml_parser_t>
  private let file: String
  private var nodeCount = 0

  /// `file` is the name in messages.
  static func parse(_ text: [UInt8], file: String) throws(PackIssue) -> YAMLNode {
    guard text.count <= bytesMax else {
      throw PackIssue(
        file: file, line: 0, key: "", text: "longer than the \(bytesMax) bytes of a manifest")
    }
    let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
    defer { parser.deallocate() }
    guard yaml_parser_initialize(parser) == 1 else {
      throw PackIssue(file: file, line: 0, key: "", text: "the YAML parser has no memory")
    }
    defer { yaml_parser_delete(parser) }
    return try text.withUnsafeBufferPointer { buffer in
      yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
      yaml_parser_set_input_string(parser, buffer.baseAddress, buffer.count)
      var reader = ManifestParser(parser: parser, file: file)
      return reader.parseDocument()
    }.get()
  }

  private init(parser: UnsafeMutablePointer<yaml_parser_t>, file: String) {
    self.parser = parser
    self.file = file
  }

  private mutating func parseDocument() -> Result<YAMLNode, PackIssue> {
    do throws(PackIssue) {
      _ = try next()
      let start = try next()
      guard start.kind == .documentStart else {
        throw issue(1, "the file is empty; expected a mapping")
      }
      let root = try node(try next(), depth: 0)
      _ = try next()
      let end = try next()
      guard end.kind == .streamEnd else {
        throw issue(end.line, "a second document; expected one")
      }
      return .success(root)
    } catch {
      return .failure(error)
    }
  }

  private mutating func node(_ event: Event, depth: Int) throws(PackIssue) -> YAMLNode {
    nodeCount += 1
    guard nodeCount <= Self.nodesMax else {
      throw issue(event.line, "more than \(Self.nodesMax) values")
    }
    guard depth <= Self.depthMax else {
      throw issue(event.line, "nested deeper than \(Self.depthMax) levels")
    }
    switch event.kind {
    case .scalar(let text, let isPlain):
      return YAMLNode(value: .scalar(text, isPlain: isPlain), line: event.line)
    case .sequenceStart:
      var items: [YAMLNode] = []
      while true {
        let event = try next()
        if event.kind == .end { break }
        items.append(try node(event, depth: depth + 1))
      }
      return YAMLNode(value: .sequence(items), line: event.line)
    case .mappingStart:
      let members = try members(depth: depth + 1)
      return YAMLNode(value: .mapping(members), line: event.line)
    default: throw issue(event.line, "expected a value")
    }
  }

  private mutating func members(depth: Int) throws(PackIssue) -> [YAMLNode.Member] {
    var members: [YAMLNode.Member] = []
    var lines: [String: Int] = [:]
    while true {
      let event = try next()
      if event.kind == .end { return members }
      guard case .scalar(let name, _) = event.kind else {
        throw issue(event.line, "a key that is no scalar; expected a name")
      }
      if let first = lines.updateValue(event.line, forKey: name) {
        throw issue(event.line, "the key '\(name)' stands in line \(first) already", key: name)
      }
      let value = try node(try next(), depth: depth)
      members.append(YAMLNode.Member(name: name, line: event.line, node: value))
    }
  }

  // MARK: Events

  private struct Event {
    enum Kind: Equatable {
      case streamStart, streamEnd, documentStart, documentEnd, sequenceStart, mappingStart
      /// Of a sequence or mapping.
      case end
      case scalar(String, isPlain: Bool)
    }
    var kind: Kind
    var line: Int
  }

  private mutating func next() throws(PackIssue) -> Event {
    var event = yaml_event_t()
    guard yaml_parser_parse(parser, &event) == 1 else { throw syntaxIssue() }
    defer { yaml_event_delete(&event) }
    let line = Int(event.start_mark.line) + 1
    switch event.type {
    case YAML_STREAM_START_EVENT: return Event(kind: .streamStart, line: line)
    case YAML_STREAM_END_EVENT: return Event(kind: .streamEnd, line: line)
    case YAML_DOCUMENT_START_EVENT:
      guard
        event.data.document_start.tag_directives.start
          == event.data.document_start.tag_directives.end
      else { throw issue(line, "a %TAG directive; expected none") }
      return Event(kind: .documentStart, line: line)
    case YAML_DOCUMENT_END_EVENT: return Event(kind: .documentEnd, line: line)
    case YAML_ALIAS_EVENT: throw issue(line, "an alias (*); expected the value itself")
    case YAML_SCALAR_EVENT: return try scalar(event.data.scalar, line: line)
    case YAML_SEQUENCE_START_EVENT:
      let start = event.data.sequence_start
      try refuse(anchor: start.anchor, tag: start.tag, line: line)
      return Event(kind: .sequenceStart, line: line)
    case YAML_MAPPING_START_EVENT:
      let start = event.data.mapping_start
      try refuse(anchor: start.anchor, tag: start.tag, line: line)
      return Event(kind: .mappingStart, line: line)
    default: return Event(kind: .end, line: line)
    }
  }

  private func scalar(
    _ scalar: yaml_event_s.__Unnamed_union_data.__Unnamed_struct_scalar, line: Int
  ) throws(PackIssue) -> Event {
    try refuse(anchor: scalar.anchor, tag: scalar.tag, line: line)
    let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
    let text = String(decoding: bytes, as: UTF8.self)
    let isPlain = scalar.style == YAML_PLAIN_SCALAR_STYLE
    return Event(kind: .scalar(text, isPlain: isPlain), line: line)
  }

  private func refuse(
    anchor: UnsafeMutablePointer<yaml_char_t>?, tag: UnsafeMutablePointer<yaml_char_t>?, line: Int
  ) throws(PackIssue) {
    if anchor != nil { throw issue(line, "an anchor (&); expected a value without a name") }
    if tag != nil { throw issue(line, "a tag (!); expected a value without a type") }
  }

  private func syntaxIssue() -> PackIssue {
    let reason = parser.pointee.problem.map { String(cString: $0) } ?? "not YAML"
    let context = parser.pointee.context.map { " (\(String(cString: $0)))" } ?? ""
    let line = max(Int(parser.pointee.problem_mark.line), Int(parser.pointee.context_mark.line)) + 1
    return issue(line, "not YAML: \(reason)\(context)")
  }

  private func issue(_ line: Int, _ text: String, key: String = "") -> PackIssue {
    PackIssue(file: file, line: line, key: key, text: text)
  }
}
