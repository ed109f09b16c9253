// Contract: a JSON Schema 2020-12 is either refused as a whole, with the place of what is wrong, or
// every one of its keywords is checked. Neither a schema nor a value can make the check run on:
// circles are refused, exponential ones are given up. Annotations have no effect.
// Not shown here: agreement with other implementations beyond the tables below.
import Base
import Events
import Testing

@Suite struct JSONSchemaTests {
  static func violations(_ schema: String, _ value: String) throws -> [SchemaViolation] {
    try JSONSchema(try JSON(parsing: schema)).violations(of: try JSON(parsing: value))
  }

  static func failure(_ schema: String) throws -> SchemaFailure? {
    let json = try JSON(parsing: schema)
    do throws(SchemaFailure) {
      _ = try JSONSchema(json)
      return nil
    } catch { return error }
  }

  struct Case: Sendable, CustomTestStringConvertible {
    var schema: String
    var fits: [String]
    var fails: [String]
    var testDescription: String { schema }
  }

  static let cases: [Case] = [
    Case(schema: "true", fits: ["1", "{}", "null"], fails: []),
    Case(schema: "false", fits: [], fails: ["1", "{}", "null"]),
    Case(schema: "{}", fits: ["1", "[[]]"], fails: []),
    Case(
      schema: #"{"type": "integer"}"#, fits: ["1", "-7", "1.0", "1e3", "1e300"],
      fails: ["1.5", "\"1\"", "null", "true"]),
    Case(schema: #"{"type": "number"}"#, fits: ["1", "1.5"], fails: ["\"1\"", "false"]),
    Case(schema: #"{"type": ["string", "null"]}"#, fits: ["\"\"", "null"], fails: ["0", "[]"]),
    Case(schema: #"{"type": "boolean"}"#, fits: ["true", "false"], fails: ["0", "null"]),
    Case(schema: #"{"type": "array"}"#, fits: ["[]", "[1]"], fails: ["{}"]),
    Case(
      schema: #"{"properties": {"a": {"type": "string"}}}"#,
      fits: ["{}", #"{"a": "x"}"#, #"{"b": 1}"#, "[1]"], fails: [#"{"a": 1}"#]),
    Case(schema: #"{"required": ["a", "b"]}"#, fits: [#"{"a": 1, "b": 2}"#, "3"], fails: ["{}"]),
    Case(
      schema: #"{"properties": {"a": {}}, "additionalProperties": false}"#,
      fits: ["{}", #"{"a": 1}"#], fails: [#"{"b": 1}"#]),
    Case(
      schema: #"{"additionalProperties": {"type": "integer"}}"#,
      fits: [#"{"x": 1, "y": 2}"#], fails: [#"{"x": "1"}"#]),
    Case(
      schema: #"{"items": {"type": "integer"}, "minItems": 1, "maxItems": 2}"#,
      fits: ["[1]", "[1, 2]", "\"\""], fails: ["[]", "[1, 2, 3]", "[\"1\"]"]),
    Case(
      schema: #"{"enum": [1, "a", null, {"b": [1.0]}]}"#,
      fits: ["1", "1.0", "\"a\"", "null", #"{"b": [1]}"#], fails: ["2", "\"b\"", "{}", "true"]),
    Case(schema: #"{"enum": []}"#, fits: [], fails: ["1"]),
    Case(
      schema: #"{"const": {"a": 1, "b": 2}}"#, fits: [#"{"b": 2, "a": 1.0}"#], fails: ["{}"]),
    Case(
      schema: #"{"anyOf": [{"type": "string"}, {"minimum": 5, "type": "number"}]}"#,
      fits: ["\"x\"", "5"], fails: ["4", "null"]),
    Case(
      schema: #"{"minimum": -1, "maximum": 9007199254740993}"#,
      fits: ["-1", "0.5", "9007199254740993", "\"x\""],
      fails: ["-1.5", "9007199254740994", "1e300"]),
    Case(
      schema: #"{"minimum": 0.5, "maximum": 9223372036854775807}"#,
      fits: ["1", "9223372036854775807"], fails: ["0", "9223372036854775808", "-1e300"]),
    Case(
      schema: #"{"minLength": 2, "maxLength": 3}"#,
      fits: ["\"ab\"", "\"🦊🦊\"", #""e\u0301x""#, "5"], fails: ["\"🦊\"", "\"abcd\""]),
    Case(schema: #"{"minLength": 3, "maxLength": 2}"#, fits: [], fails: ["\"ab\"", "\"abc\""]),
    Case(
      schema: ##"{"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer"}}, "maximum": 3}"##,
      fits: ["3"], fails: ["4", "\"x\""]),
    Case(
      schema: ##"{"$defs": {"a/b~c %": {"type": "null"}}, "$ref": "#/$defs/a~1b~0c%20%25"}"##,
      fits: ["null"], fails: ["1"]),
    Case(
      schema: ##"{"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["v"]}"##,
      fits: [#"{"v": 1, "next": {"v": 2, "next": {"v": 3}}}"#],
      fails: [#"{"v": 1, "next": {"next": {"v": 3}}}"#, "[]"]),
    Case(
      schema: ##"""
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:x", "title": "t",
         "description": "d", "format": "a-format-of-mine"}
        """##, fits: ["\"x\""], fails: []),
  ]

  @Test(arguments: cases) func keywordsAreChecked(_ one: Case) throws {
    for value in one.fits {
      #expect(try Self.violations(one.schema, value) == [], "\(value) should fit")
    }
    for value in one.fails {
      #expect(try !Self.violations(one.schema, value).isEmpty, "\(value) should not fit")
    }
  }

  @Test func violationsNameTheirPlaces() throws {
    let schema = #"""
      {"type": "object", "properties": {"a/b": {"items": {"type": "integer"}}, "c": false},
       "required": ["z"], "additionalProperties": false}
      """#
    let found = try Self.violations(schema, #"{"a/b": [1, "x", null], "c": 1, "d": 2}"#)
    #expect(found.map(\.pointer) == ["", "/a~1b/1", "/a~1b/2", "/c", "/d"])
    #expect(found[0].message.contains("'z'"))
    #expect(found[1].message == "expected integer, found string")
    let compiled = try JSONSchema(try JSON(parsing: schema))
    #expect(compiled.violations(of: ["c": 1, "d": 2, "e": 3], limit: 2).count == 2)
  }

  @Test func anAlternativeThatComesFurthestExplainsTheFailure() throws {
    let schema = #"""
      {"anyOf": [{"type": "null"},
        {"properties": {"age": {"type": "integer"}}, "required": ["age"]}]}
      """#
    let found = try Self.violations(schema, #"{"age": "old"}"#)
    #expect(found.count == 1)
    #expect(found[0].pointer.isEmpty)
    #expect(found[0].message.contains("/age: expected integer, found string"))
  }

  static let wrong: [(schema: String, pointer: String)] = [
    (#"{"type": 7}"#, "/type"), (#"{"type": "text"}"#, "/type"), (#"{"type": []}"#, "/type"),
    ("7", ""), (#"{"properties": []}"#, "/properties"),
    (#"{"properties": {"a": 1}}"#, "/properties/a"), (#"{"required": "a"}"#, "/required"),
    (#"{"required": [1]}"#, "/required"), (#"{"items": [{}]}"#, "/items"),
    (#"{"enum": {}}"#, "/enum"), (#"{"anyOf": []}"#, "/anyOf"), (#"{"anyOf": [1]}"#, "/anyOf/0"),
    (##"{"$ref": "#/$defs/none"}"##, "/$ref"), (##"{"$ref": "http://x/y"}"##, "/$ref"),
    (##"{"$ref": "#%zz"}"##, "/$ref"), (##"{"$ref": "#"}"##, ""),
    (##"{"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}}"##, ""),
    (#"{"minimum": "1"}"#, "/minimum"), (#"{"minLength": -1}"#, "/minLength"),
    (#"{"maxItems": 1.5}"#, "/maxItems"), (#"{"pattern": "("}"#, "/pattern"),
    (#"{"pattern": 1}"#, "/pattern"), (#"{"format": 1}"#, "/format"), (#"{"title": 1}"#, "/title"),
    (##"{"$schema": "http://json-schema.org/draft-07/schema#"}"##, "/$schema"),
  ]

  @Test(arguments: wrong) func wrongSchemasAreRefused(_ one: (schema: String, pointer: String))
    throws
  {
    guard case .invalid(let pointer, let reason)? = try Self.failure(one.schema) else {
      Issue.record("accepted, or refused for another reason: \(one.schema)")
      return
    }
    // Where a circle is entered does not matter.
    #expect(pointer == one.pointer || reason.contains("itself"))
  }

  static let unsupported = [
    "unevaluatedItems", "dependentSchemas", "oneOf", "allOf", "not", "if", "then", "multipleOf",
    "exclusiveMinimum", "uniqueItems", "prefixItems", "contains", "patternProperties",
    "propertyNames", "default", "$anchor", "$dynamicRef", "x-mine", "",
  ]

  @Test(arguments: unsupported) func otherKeywordsAreRefusedByName(_ keyword: String) throws {
    let schema: JSON = ["properties": ["a/": ["type": "object"]]]
    var object = try #require(schema["properties"]?["a/"]?.object)
    object[keyword] = [:]
    #expect(
      throws: SchemaFailure.keywordUnsupported(
        keyword: keyword, pointer: "/properties/a~1/" + keyword)
    ) { try JSONSchema(["properties": ["a/": .object(object)]]) }
  }

  @Test func aFailureBecomesAProblem() throws {
    let wrong = try #require(try Self.failure(#"{"type": 7}"#)).problem(under: "/response_schema")
    #expect(wrong.code == .schemaInvalid)
    #expect(wrong.pointer == "/response_schema/type")
    let other = try #require(try Self.failure(#"{"not": {}}"#)).problem(under: "/response_schema")
    #expect(other.code == .schemaKeywordUnsupported)
  }

  @Test func aSchemaHasASizeLimit() throws {
    func schema(_ count: Int) -> JSON { ["title": .string(String(repeating: "x", count: count))] }
    let frame = schema(0).encoded.count
    _ = try JSONSchema(schema(JSONSchema.bytesMax - frame))
    #expect(throws: SchemaFailure.tooLarge(limit: JSONSchema.bytesMax)) {
      try JSONSchema(schema(JSONSchema.bytesMax - frame + 1))
    }
  }

  @Test func chainsOfReferencesAreBounded() throws {
    func chain(_ count: Int) -> JSON {
      var definitions = JSONObject()
      for index in 1..<count {
        definitions["d\(index)"] = ["$ref": .string("#/$defs/d\(index + 1)")]
      }
      definitions["d\(count)"] = ["items": ["$ref": "#"]]
      return ["$defs": .object(definitions), "$ref": "#/$defs/d1"]
    }
    let schema = try JSONSchema(chain(JSONSchema.chainMax - 2))
    let deep = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
    #expect(schema.violations(of: try JSON(parsing: deep)).isEmpty)
    #expect(throws: SchemaFailure.self) { try JSONSchema(chain(JSONSchema.chainMax - 1)) }
  }

  @Test func exponentialChecksAreGivenUp() throws {
    let schema =
      ##"{"anyOf": [{"items": {"$ref": "#"}, "type": "array"}, {"items": {"$ref": "#"}}, false]}"##
    let value = String(repeating: "[", count: 60) + "1" + String(repeating: "]", count: 60)
    #expect(try Self.violations(schema, value).isEmpty)
    let hopeless = #"""
      {"anyOf": [{"items": {"$ref": "#"}, "type": "array", "maxItems": 1},
        {"items": {"$ref": "#"}, "type": "array", "maxItems": 2}]}
      """#
    let found = try Self.violations(hopeless, value)
    #expect(found.contains { $0.message.contains("given up") })
  }
}
