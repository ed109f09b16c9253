import Base
import MemoryService
import Synchronization
import Testing

// Contract: bytes never exceed the limit, the value unused for longest goes first, a value lives
// as long as it was given, and one tenant never sees what another keeps.

@Suite struct CacheLayerTests {
  private let clock = ManualClock()

  private func cache(bytesMax: Int = 30) -> CacheLayer<Int> {
    CacheLayer(
      limits: .init(bytesMax: bytesMax, timeToLive: .seconds(10)), clock: clock)
  }

  @Test func tenantsAreApart() {
    let cache = cache(bytesMax: 1_000)
    let (a, b) = (cache.handle(tenantID: "a"), cache.handle(tenantID: "b"))
    a.set(1, bytes: 8, for: "k")
    #expect(b.value(for: "k") == nil)
    b.set(2, bytes: 8, for: "k")
    #expect(a.value(for: "k") == 1)
    #expect(b.value(for: "k") == 2)
    b.remove("k")
    #expect(a.value(for: "k") == 1)
    #expect(cache.hits.value == 3)
    #expect(cache.misses.value == 1)
  }

  @Test func theLeastRecentlyUsedGoes() {
    // Each takes 8 + 1 + 1 bytes: three fit.
    let cache = cache()
    let handle = cache.handle(tenantID: "t")
    for (value, key) in ["a", "b", "c"].enumerated() { handle.set(value, bytes: 8, for: key) }
    #expect(handle.value(for: "a") == 0)
    handle.set(9, bytes: 8, for: "d")
    #expect(handle.value(for: "b") == nil)
    #expect(["a", "c", "d"].allSatisfy { handle.value(for: $0) != nil })
    handle.set(9, bytes: 999, for: "e")
    #expect(handle.value(for: "e") == nil)
    #expect(cache.count == 3)
    #expect(cache.bytes == 30)
  }

  @Test func timeEndsThem() {
    let cache = cache()
    let handle = cache.handle(tenantID: "t")
    handle.set(1, bytes: 8, for: "a")
    clock.advance(.seconds(9))
    #expect(handle.value(for: "a") == 1)
    handle.set(2, bytes: 8, for: "b")
    clock.advance(.seconds(1))
    #expect(handle.value(for: "a") == nil)
    #expect(handle.value(for: "b") == 2)
    #expect(cache.bytes == 10)
  }

  @Test func neverAboveItsLimit() {
    let random = SeededRandom(seed: 77)
    let cache = cache(bytesMax: 200)
    for _ in 0..<3_000 {
      let handle = cache.handle(tenantID: "t\(random.next(below: 3))")
      let key = "k\(random.next(below: 20))"
      switch random.next(below: 4) {
      case 0: handle.remove(key)
      case 1: clock.advance(.milliseconds(Int64(random.next(below: 2_000))))
      case 2: _ = handle.value(for: key)
      default:
        let value = Int(random.next(below: 1_000))
        handle.set(value, bytes: Int(random.next(below: 60)), for: key)
        #expect(handle.value(for: key) == value)
      }
      #expect(cache.bytes <= 200)
      #expect((cache.count == 0) == (cache.bytes == 0))
    }
  }
}

/// A clock that stands until it is moved.
final class ManualClock: Clock {
  private let now = Mutex(Nanoseconds.seconds(1))

  func advance(_ duration: Nanoseconds) { now.withLock { $0 = $0 + duration } }
  func monotonic() -> Nanoseconds { now.withLock { $0 } }
  func wall() -> Timestamp { Timestamp(microseconds: monotonic().microseconds) }
}
