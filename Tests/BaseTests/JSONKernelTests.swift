// Contract: whatever the bytes, the kernels of every instruction set answer as the byte-by-byte
// reader does, range for range; a text is valid exactly when the tree parser takes it (names given
// twice apart); nothing is read behind the last byte, which stands before a page that may not be
// touched.
import Base
import CJSON
import Glibc
import Testing

@Suite struct JSONKernelTests {
  static let levels = 0...cjson_level()

  /// Texts of an object whose members are looked for, and what became of them by mutation.
  @Test(arguments: [1 as UInt64, 2, 3, 4]) func allSetsAgreeWithTheReader(seed: UInt64) {
    let page = GuardedPage(bytes: 1 << 16)
    var generator = JSONGenerator(seed: seed)
    var whole = 0
    for round in 0..<12_000 {
      var bytes = generator.text(of: Self.object(&generator))
      if round % 3 != 0 { Self.mutate(&bytes, &generator) }
      let text = page.place(bytes)
      whole += Self.checkFind(text, "seed \(seed), round \(round)") ? 1 : 0
      Self.checkStrings(text, "seed \(seed), round \(round)")
    }
    #expect(whole > 4_000, "hardly any text was an object: \(whole)")
  }

  @Test(arguments: [5 as UInt64, 6, 7]) func textsAreValidWhenTheParserTakesThem(seed: UInt64) {
    let page = GuardedPage(bytes: 1 << 16)
    var generator = JSONGenerator(seed: seed)
    var valid = 0
    for round in 0..<8_000 {
      var bytes = generator.text(of: generator.value(depth: 4))
      if round % 3 != 0 { Self.mutate(&bytes, &generator) }
      valid += Self.checkValidity(page.place(bytes), "seed \(seed), round \(round)") ? 1 : 0
    }
    #expect(valid > 2_500, "hardly any text was valid: \(valid)")
  }

  @Test func everyLengthOfATextIsAnswered() throws {
    let page = GuardedPage(bytes: 1 << 16)
    let text =
      #"{"id":"é \"x\\","n":[-1.5e3,true,{"a":null}],"payload":{"t":"}]\" 🦊","b":[[]]},"#
      + #""pad":"0123456789012345678901234567890123456789012345678901234567890123456789",  "z" : 0}"#
    let bytes = Array(text.utf8)
    for count in 0...bytes.count {
      let part = page.place(Array(bytes[..<count]))
      #expect(Self.checkFind(part, "\(count) bytes") == (count == bytes.count))
      #expect(Self.checkValidity(part, "\(count) bytes") == (count == bytes.count))
      Self.checkStrings(part, "\(count) bytes")
    }
  }

  @Test(arguments: [
    (#"{"a":1,}"#, true), (#"{"a":1} tail"#, true), (#"{"a":1"b","c":2}"#, true),
    (#"{"a":{\"}"},"b":2}"#, true), (#"{"a":{\"x","b":2}"#, false), (#"{"a"x:1}"#, false),
    (#"{"a":}"#, false), (#"{"a":1]"#, false), (#"{"a":[}}"#, true), (#"{\"a":1}"#, false),
    ("{\"a\":1\u{1},\"b\":2}", true), ("\u{1}{\"a\"\u{1}:\u{1}1}", true), (#"{"\u0061":1}"#, true),
    (#"{"a":"\\"}"#, true), (#"{"a":"\\\"}"#, false), ("{}", true), ("{", false), ("[]", false),
  ])
  func oddObjectsAreReadAsEver(_ text: String, _ isObject: Bool) {
    let page = GuardedPage(bytes: 1 << 12)
    #expect(Self.checkFind(page.place(Array(text.utf8)), text) == isObject)
    // The same further on, across the borders of blocks.
    for space in [1, 31, 61, 62, 63, 64, 127] {
      let padded = Array(repeating: UInt8(ascii: " "), count: space) + Array(text.utf8)
      #expect(Self.checkFind(page.place(padded), "\(space) spaces, \(text)") == isObject)
    }
  }

  @Test func theFirstOfManyMembersCounts() {
    var text = "{"
    for index in 0..<200 { text += "\"k\(index % 50)\":\(index),\"a\":\(1_000 + index)," }
    text += "\"b\":7}"
    let page = GuardedPage(bytes: 1 << 14)
    let bytes = page.place(Array(text.utf8))
    #expect(Self.checkFind(bytes, "many members"))
    var found = cjson_found()
    #expect(JSONNames(["a", "b", "c"]).find(in: bytes, &found))
    let scanner = JSONScanner(bytes)
    #expect(scanner.integer(Range(found.at.0)) == 1_000)
    #expect(scanner.integer(Range(found.at.1)) == 7)
    #expect(Range(found: found.at.2) == nil)
    #expect(found.named == 201 && found.others == 200)
  }

  @Test func depthIsBounded() {
    let page = GuardedPage(bytes: 1 << 18)
    for (open, close) in [("[", "]"), (#"{"a":"#, "}")] {
      for depth in [1, 63, 64, 65, 66, 128, 10_000] {
        let inner = open == "[" ? "" : "0"
        let text =
          String(repeating: open, count: depth) + inner + String(repeating: close, count: depth)
        let bytes = page.place(Array(text.utf8))
        #expect(Self.checkValidity(bytes, "\(depth) × \(open)") == (depth <= 64))
      }
    }
  }

  /// Runs of backslashes of every length, at every place of a block, before a quote.
  @Test func runsOfBackslashesAreCounted() {
    let page = GuardedPage(bytes: 1 << 12)
    for start in 0..<70 {
      for run in 0..<140 {
        let text =
          "[\"" + String(repeating: "x", count: start) + String(repeating: "\\", count: run)
          + "\",\"y\"]"
        let bytes = page.place(Array(text.utf8))
        #expect(Self.checkValidity(bytes, "\(run) behind \(start)") == (run % 2 == 0))
        Self.checkStrings(bytes, "\(run) behind \(start)")
      }
    }
  }

  @Test(arguments: [
    "1.7976931348623157e308", "1.7976931348623158e308", "1.797693134862315807e308",
    "1.797693134862315808e308", "1.7976931348623159e308", "1e308", "1e309", "0e999", "-1e400",
    "0.00001e313", "0.00001e314", "1e-99999999999999999999", "1e99999999999999999999", "-0", "00",
    "1.", ".5", "1e", "1e+", "+1", "0x1", "1_0", "12e5", "-", "1.5.5", "NaN", "Infinity", "truee",
    "tru", "nul", "nulll", "false", "falsy",
  ])
  func numbersAndLiteralsAreThoseOfTheParser(_ text: String) {
    let page = GuardedPage(bytes: 1 << 12)
    _ = Self.checkValidity(page.place(Array(text.utf8)), text)
    _ = Self.checkValidity(page.place(Array("[\(text)]".utf8)), text)
    _ = Self.checkValidity(page.place(Array("{\"a\": \(text) }".utf8)), text)
  }

  /// Around 2¹⁰²⁴ − 2⁹⁷⁰, from where on a double is infinite, with all 309 digits.
  @Test func theLargestDoubleIsFoundToTheDigit() {
    let page = GuardedPage(bytes: 1 << 12)
    let digits =
      "17976931348623158079372897140530341507993413271003782693617377898044496829276475094664"
      + "90179775872070963302864166928879109465555478519404026306574886715058206819089020007083"
      + "83676273854845817711531764475730270069855571366959622842914819860834936475292719074168"
      + "444365510704342711559699508093042880177904174497792"
    let below = digits.dropLast(3) + "791"
    for (text, isValid) in [
      (digits, false), (String(below), true), (below + ".9", true), (digits + ".0", false),
      (below + "0e-1", true), (digits + "0e-1", false),
      ("-" + digits, false), (digits + "0", false),
    ] {
      #expect(Self.checkValidity(page.place(Array(text.utf8)), text) == isValid, "\(text)")
    }
  }

  @Test func everyPairOfHalvesIsJudged() {
    let page = GuardedPage(bytes: 1 << 12)
    let units = ["D7FF", "D800", "DBFF", "DC00", "DFFF", "E000", "0041", "00G0", "d83e", "dd8a"]
    for first in units {
      for second in units {
        for between in ["", "x", "\\\\", "\\n"] {
          let text = "\"\\u\(first)\(between)\\u\(second)\""
          for space in [0, 50, 55, 58, 61] {
            let padded = Array(repeating: UInt8(ascii: " "), count: space) + Array(text.utf8)
            _ = Self.checkValidity(page.place(padded), text)
          }
        }
      }
    }
  }

  @Test func largeTextsAreAnswered() {
    let item = #"{"text":"a \"quoted\" 🦊 \\ word","list":[1,2.5,-3e2,null,true]},"#
    let count = (8 << 20) / item.utf8.count
    let text = "{\"payload\":[" + String(repeating: item, count: count) + "0],\"b\":1}"
    let bytes = Array(text.utf8)
    bytes.withUnsafeBytes { buffer in
      for level in Self.levels {
        #expect(cjson_validate_at(level, buffer.baseAddress!, buffer.count) == 1)
        #expect(cjson_validate_at(level, buffer.baseAddress!, buffer.count - 1) == 0)
        let end = cjson_value_end_at(level, buffer.baseAddress!, buffer.count)
        #expect(end == buffer.count)
      }
    }
  }
}

// MARK: - Checks of one text

extension JSONKernelTests {
  nonisolated(unsafe) static let names: UnsafePointer<cjson_names> = {
    let texts: [StaticString] = [
      "a", "b", "id", "n", "", "payload", "type", "event_id", "trace_id", "owner_epoch",
      "owner_claim", "sixteen_letters_", "é",
    ]
    let table = UnsafeMutablePointer<cjson_names>.allocate(capacity: 1)
    let list: [UnsafePointer<CChar>?] = texts.map {
      UnsafeRawPointer($0.utf8Start).assumingMemoryBound(to: CChar.self)
    }
    precondition(cjson_names_make(table, list, list.count) == 1)
    return UnsafePointer(table)
  }()

  static func ranges(_ found: cjson_found) -> [UInt64] {
    withUnsafeBytes(of: found.at) { raw in
      (0..<Int(CJSON_NAMES_MAX)).map { raw.load(fromByteOffset: 8 * $0, as: UInt64.self) }
    } + [UInt64(found.named), UInt64(found.others)]
  }

  /// Whether the text is an object, of which all sets find the same.
  static func checkFind(_ text: UnsafeRawBufferPointer, _ what: String) -> Bool {
    var expected = cjson_found()
    let isObject = cjson_find_reference(names, text.baseAddress!, text.count, &expected)
    for level in levels {
      var found = cjson_found()
      let answer = cjson_find_at(level, names, text.baseAddress!, text.count, &found)
      #expect(answer == isObject, "level \(level), \(what)")
      #expect(ranges(found) == ranges(expected), "level \(level), \(what)")
    }
    return isObject == 1
  }

  static func checkValidity(_ text: UnsafeRawBufferPointer, _ what: String) -> Bool {
    var isValid = true
    do { _ = try JSON(parsing: text) } catch { isValid = error.kind == .duplicateName }
    // What stands behind a name that is given twice, the parser has not seen.
    if isValid, (try? JSON(parsing: text)) == nil {
      isValid = cjson_validate_at(0, text.baseAddress!, text.count) == 1
    }
    for level in levels {
      let answer = cjson_validate_at(level, text.baseAddress!, text.count)
      #expect((answer == 1) == isValid, "level \(level), \(what)")
    }
    #expect(JSONText.isValid(text) == isValid)
    return isValid
  }

  static func checkStrings(_ text: UnsafeRawBufferPointer, _ what: String) {
    let end = cjson_value_end_reference(text.baseAddress!, text.count)
    let prefix = text.prefix { $0 >= 0x20 && $0 != 0x22 && $0 != 0x5C }.count
    let isUTF8 = String(validating: text, as: UTF8.self) != nil
    for level in levels {
      #expect(cjson_value_end_at(level, text.baseAddress!, text.count) == end, "\(level), \(what)")
      let plain = cjson_plain_prefix_at(level, text.baseAddress!, text.count)
      #expect(plain == prefix, "level \(level), \(what)")
      let answer = cjson_is_utf8_at(level, text.baseAddress!, text.count)
      #expect((answer == 1) == isUTF8, "level \(level), \(what)")
    }
  }

  /// An object with some of the names that are looked for, some of them twice.
  static func object(_ generator: inout JSONGenerator) -> JSON {
    let known = ["a", "b", "id", "n", "payload", "event_id", "owner_claim", "other", "é"]
    guard case .object(var object) = generator.object(depth: 3, count: 3) else { return .null }
    for _ in 0..<generator.below(6) {
      object[known[generator.below(known.count)]] = generator.value(depth: 3)
    }
    return .object(object)
  }

  static func mutate(_ bytes: inout [UInt8], _ generator: inout JSONGenerator) {
    for _ in 0...generator.below(2) where !bytes.isEmpty {
      let at = generator.below(bytes.count)
      switch generator.below(6) {
      case 0: bytes[at] = UInt8(generator.below(256))
      case 1: bytes.removeLast(generator.below(bytes.count))
      case 2: bytes.remove(at: at)
      case 3: bytes[at] ^= 1 << generator.below(8)
      case 4: bytes.insert(contentsOf: bytes[..<at], at: at)
      default:
        bytes.insert(Array("\"\\{}[],: 0\n".utf8)[generator.below(11)], at: at)
      }
    }
    if bytes.count > 60_000 { bytes.removeLast(bytes.count - 60_000) }
  }
}

/// Memory that ends where a page begins that may not be touched.
final class GuardedPage {
  private let start: UnsafeMutableRawPointer
  private let count: Int

  init(bytes: Int) {
    count = bytes
    start = mmap(nil, bytes + 4_096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    precondition(start != MAP_FAILED && mprotect(start + bytes, 4_096, PROT_NONE) == 0)
  }

  deinit { munmap(start, count + 4_096) }

  /// Copies `bytes` to the end; they are valid until the next call.
  func place(_ bytes: [UInt8]) -> UnsafeRawBufferPointer {
    let target = UnsafeMutableRawBufferPointer(
      start: start + (count - bytes.count), count: bytes.count)
    target.copyBytes(from: bytes)
    return UnsafeRawBufferPointer(target)
  }
}
