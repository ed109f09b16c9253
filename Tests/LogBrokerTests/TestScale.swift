import Glibc

/// How much of a random test runs: a slice by default, all of it where the environment says so.
enum TestScale {
  /// `KFM_TEST_SEEDS`, or `slice`.
  static func seeds(slice: Int) -> Int {
    getenv("KFM_TEST_SEEDS").flatMap { Int(String(cString: $0)) } ?? slice
  }
}
