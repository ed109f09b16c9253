import CLinux

/// Where randomness comes from: the kernel in a node, a seed in tests.
package protocol RandomSource: AnyObject {
  func next() -> UInt64
}

extension RandomSource {
  /// Uniform in `0..<bound` (bound > 0), without modulo bias worth a name below 2⁶⁴.
  package func next(below bound: UInt64) -> UInt64 {
    next().multipliedFullWidth(by: bound).high
  }

  /// Uniform in `0..<1`.
  package func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

  package func next128() -> UInt128 { UInt128(next()) << 64 | UInt128(next()) }
}

/// getrandom(2), fetched 256 bytes at a time.
package final class SystemRandom: RandomSource {
  private var pool = [UInt64](repeating: 0, count: 32)
  private var used = 32

  package init() {}

  package func next() -> UInt64 {
    if used == pool.count {
      let filled = pool.withUnsafeMutableBytes { kfm_random($0.baseAddress, $0.count) }
      // A node without randomness would mint ids twice: it must stop.
      precondition(filled == 1, "getrandom gave no randomness")
      used = 0
    }
    defer { used += 1 }
    return pool[used]
  }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seedable, good enough for tests and jitter.
package final class SeededRandom: RandomSource {
  private var state: UInt64

  package init(seed: UInt64) { state = seed }

  package func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
