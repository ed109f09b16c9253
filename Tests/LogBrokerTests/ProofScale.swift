import Glibc

/// How much of a test runs: a slice by default, the whole where `make prove` asks for it, which
/// then reads its rows.
enum ProofScale {
  static let isWhole = getenv("KFM_PROVE") != nil

  static func count(_ slice: Int, whole: Int) -> Int { isWhole ? whole : slice }

  /// Where random tests begin: the same in every normal run, `KFM_PROVE_SEED` in a proof.
  static var firstSeed: Int { isWhole ? number("KFM_PROVE_SEED") ?? 0 : 0 }

  /// Crash points of a proof, should there be time for less than a million.
  static var crashPoints: Int { number("KFM_PROVE_POINTS") ?? 1_000_000 }

  private static func number(_ name: String) -> Int? {
    getenv(name).flatMap { Int(String(cString: $0)) }
  }

  /// `name value bar pass|FAIL`
  static func row(
    _ name: String, _ value: some CustomStringConvertible, _ bar: String, _ passes: Bool
  ) {
    print("\(name) \(value) \(bar) \(passes ? "pass" : "FAIL")")
  }
}
