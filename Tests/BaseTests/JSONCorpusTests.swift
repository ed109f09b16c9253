// Contract: of the public corpus JSONTestSuite every y_ file is taken and every n_ file refused;
// the i_ files, which RFC 8259 leaves open, are decided by the table below. KFM_TEST_CORPORA names
// the folder that holds `json/test_parsing`; where it is set, a missing folder is a failure.
import Base
import Glibc
import Testing

@Suite(
  .enabled(
    if: getenv("KFM_TEST_CORPORA") != nil,
    "skipped: JSONTestSuite (318 files); KFM_TEST_CORPORA names no folder of corpora"))
struct JSONCorpusTests {
  /// Valid by RFC 8259, refused here by design: one name twice has no one meaning.
  static let duplicates = [
    "y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json",
  ]
  /// Of the files RFC 8259 leaves open, those that are taken: numbers that round, and nothing else.
  static let taken = [
    "i_number_double_huge_neg_exp.json", "i_number_real_underflow.json",
    "i_number_too_big_neg_int.json", "i_number_too_big_pos_int.json",
    "i_number_very_big_negative_int.json",
  ]

  @Test func everyFileIsDecided() throws {
    let folder = String(cString: getenv("KFM_TEST_CORPORA")) + "/json/test_parsing"
    let names = try #require(Self.names(folder), "no folder \(folder)")
    var counts: [Character: Int] = [:]
    for name in names {
      let bytes = try #require(Self.read("\(folder)/\(name)"), "\(name)")
      let result = Result { try JSON(parsing: bytes) }
      let isTaken = (try? result.get()) != nil
      counts[name.first!, default: 0] += 1
      switch name.first {
      case "y":
        if Self.duplicates.contains(name) {
          #expect { try result.get() } throws: { ($0 as? JSONError)?.kind == .duplicateName }
        } else {
          #expect(isTaken, "\(name): \(result)")
        }
      case "n": #expect(!isTaken, "\(name)")
      default: #expect(isTaken == Self.taken.contains(name), "\(name)")
      }
    }
    #expect(counts == ["y": 95, "n": 188, "i": 35])
  }

  static func names(_ folder: String) -> [String]? {
    guard let stream = opendir(folder) else { return nil }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name.hasSuffix(".json") { names.append(name) }
    }
    return names.sorted()
  }

  static func read(_ path: String) -> [UInt8]? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = fread(&buffer, 1, buffer.count, file)
      if count == 0 { return bytes }
      bytes += buffer[..<count]
    }
  }
}
