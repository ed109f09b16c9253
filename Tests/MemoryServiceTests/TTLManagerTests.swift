import Base
import MemoryService
import Testing

// Contract: a key expires at its last time, once; compared with a dictionary through a random
// history, with no clock but the one passed in.

@Suite struct TTLManagerTests {
  @Test func agreesWithAModel() {
    let random = SeededRandom(seed: 31)
    var manager = TTLManager<Int>()
    var model: [Int: Int64] = [:]
    var now: Int64 = 0
    for _ in 0..<5_000 {
      let key = Int(random.next(below: 20))
      switch random.next(below: 4) {
      case 0:
        manager.remove(key)
        model[key] = nil
      case 1:
        now += Int64(random.next(below: 10))
        let expired = manager.removeExpired(now: Nanoseconds(now))
        let expected = model.filter { $0.value <= now }
        #expect(Set(expired) == Set(expected.keys))
        #expect(expired.map { expected[$0]! } == expired.map { expected[$0]! }.sorted())
        for key in expired { model[key] = nil }
      default:
        let time = now + Int64(random.next(below: 30))
        manager.set(key, expiresAt: Nanoseconds(time))
        model[key] = time
      }
      #expect(manager.count == model.count)
      #expect(manager.isExpired(key, now: Nanoseconds(now)) == (model[key] ?? 0 <= now))
      if let first = model.values.min() { #expect(manager.nextDeadline!.count <= first) }
    }
  }
}
