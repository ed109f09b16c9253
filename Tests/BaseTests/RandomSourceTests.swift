// Contract: a seed gives one sequence for ever (recorded runs depend on it); bounded draws stay in
// bounds and reach them.
import Base
import Testing

@Suite struct RandomSourceTests {
  /// SplitMix64's published outputs for the seed 1234567.
  @Test func theSequenceIsSplitMix64() {
    let random = SeededRandom(seed: 1_234_567)
    #expect(
      (0..<5).map { _ in random.next() } == [
        6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
        4_593_380_528_125_082_431, 16_408_922_859_458_223_821,
      ])
  }

  @Test func boundedDrawsCoverTheirRange() {
    let random = SeededRandom(seed: 3)
    for bound in 1...20 as ClosedRange<UInt64> {
      var seen = Set<UInt64>()
      for _ in 0..<1_000 { seen.insert(random.next(below: bound)) }
      #expect(seen == Set(0..<bound))
    }
    for _ in 0..<1_000 { #expect((0..<1).contains(random.unit())) }
  }

  @Test func theKernelsDrawsDiffer() {
    let random = SystemRandom()
    #expect(Set((0..<1_000).map { _ in random.next() }).count == 1_000)
  }
}
