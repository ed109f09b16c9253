import Glibc

/// How much of a test runs: a slice by default, the whole where `make prove` asks for it, which
/// then reads its rows.
enum ProofScale {
  static let isWhole = getenv("KFM_PROVE") != nil

  static func count(_ slice: Int, whole: Int) -> Int { isWhole ? whole : slice }

  /// `name value bar pass|FAIL`
  static func row(
    _ name: String, _ value: some CustomStringConvertible, _ bar: String, _ passes: Bool
  ) {
    print("\(name) \(value) \(bar) \(passes ? "pass" : "FAIL")")
  }
}
