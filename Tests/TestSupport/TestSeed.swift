import Glibc

/// The seed of a test that draws at random: the same in every run, so that what failed once fails
/// again. `KFM_TEST_SEED` sets another: a number, or `random` for a new one each run, printed.
package func testSeed(_ test: String = #function) -> UInt64 {
  guard let text = getenv("KFM_TEST_SEED").map({ String(cString: $0) }), !text.isEmpty else {
    return 0x6B66_6D5F_7365_6564
  }
  guard text == "random" else {
    guard let seed = UInt64(text) else { fatalError("KFM_TEST_SEED is no number: \(text)") }
    return seed
  }
  let seed = UInt64.random(in: 1 ... .max)
  print("\(test): KFM_TEST_SEED=\(seed)")
  return seed
}
