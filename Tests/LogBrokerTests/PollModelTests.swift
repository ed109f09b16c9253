// Contract: whatever is appended, deleted and asked for (offset, time, first, last; any count and
// size), a poll answers what a list in memory would, from memory, from segments and after closes,
// kills and power losses, while the clock jumps by an hour or ten years in both directions; append
// time never falls; retention takes only what is old enough or too much; nothing goes by a jump.

import Base
import LogBroker
import Testing

@Suite struct PollModelTests {
  /// A slice of what `KFM_TEST_SEEDS` seeds cover.
  private static let seeds = TestScale.seeds(slice: 40)
  /// Beyond the slice: lives in which retention meets records that wait in memory.
  private static let telling = [285, 494]

  @Test func pollsAnswerAsAListWould() throws {
    var deleted = 0
    var expired = 0
    var jumps = 0
    var differences = 0
    for seed in Array(0..<Self.seeds) + Self.telling.filter({ $0 >= Self.seeds }) {
      let model = try PollModel(seed: UInt64(seed))
      for _ in 0..<200 {
        switch model.random.next(below: 40) {
        case 0...15: model.append()
        case 16...29: model.poll()
        case 30...31: model.advance()
        case 32: model.jump()
        case 33...34: model.retain()
        case 35: model.deleteRecords()
        case 36...38: model.storeOffset()
        default: try model.reopen()
        }
      }
      #expect(model.problems.isEmpty, "seed \(seed): \(model.problems.first ?? "")")
      differences += model.problems.isEmpty ? 0 : 1
      #expect(model.next > 20)
      deleted += model.deleted
      expired += model.expired
      jumps += model.metrics.clockJumps.value
    }
    print("seeds \(Self.seeds): deleted \(deleted), expired \(expired), jumps \(jumps)")
    ProofScale.row("model_seeds_without_a_difference", Self.seeds, ">0", differences == 0)
    #expect(deleted > Self.seeds && expired > Self.seeds && jumps > Self.seeds / 2)
  }
}
