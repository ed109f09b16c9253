// Contract: of the public corpus JSONTestSuite every y_ file is taken and every n_ file refused;
// the i_ files, which RFC 8259 leaves open, are decided by the table below. KFM_TEST_CORPORA names
// the folder that holds `json/test_parsing`; where it is set, a missing folder is a failure.
import Base
import Glibc
import TestSupport
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
    let names = TestFiles.names(folder).filter { $0.hasSuffix(".json") }
    var counts: [Character: Int] = [:]
    for name in names {
      let bytes = TestFiles.bytes("\(folder)/\(name)")
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
}
