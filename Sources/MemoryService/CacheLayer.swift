package import Base

/// A cache in the process, bounded in bytes (the value unused for longest goes first) and in time.
/// Values are reached through a tenant's handle alone, so no tenant can meet another's.
package final class CacheLayer<Value> {
  package struct Limits: Sendable {
    /// Of keys and values together, as their makers state them.
    package var bytesMax: Int
    /// How long a value stays, used or not.
    package var timeToLive: Nanoseconds

    package init(bytesMax: Int, timeToLive: Nanoseconds) {
      self.bytesMax = bytesMax
      self.timeToLive = timeToLive
    }
  }

  /// A key of one tenant.
  fileprivate struct Key: Hashable {
    var tenantID: String
    var key: String
  }

  private struct Entry {
    var value: Value
    var bytes: Int
    /// Neighbours in the order of use.
    var newer: Key?
    var older: Key?
  }

  package let hits = Counter()
  package let misses = Counter()

  private let limits: Limits
  private let clock: any Clock
  private var entries: [Key: Entry] = [:]
  private var lifetimes = TTLManager<Key>()
  private var newest: Key?
  private var oldest: Key?
  package private(set) var bytes = 0

  package init(limits: Limits, clock: any Clock) {
    self.limits = limits
    self.clock = clock
  }

  package var count: Int { entries.count }

  /// The only door to values: one tenant's.
  package struct Handle {
    fileprivate let cache: CacheLayer
    package let tenantID: String

    package func value(for key: String) -> Value? {
      cache.value(for: Key(tenantID: tenantID, key: key))
    }

    /// Keeps `value`, which takes `bytes` beside its key; one larger than the cache is not kept.
    package func set(_ value: Value, bytes: Int, for key: String) {
      cache.set(value, bytes: bytes, for: Key(tenantID: tenantID, key: key))
    }

    package func remove(_ key: String) { cache.remove(Key(tenantID: tenantID, key: key)) }
  }

  package func handle(tenantID: String) -> Handle { Handle(cache: self, tenantID: tenantID) }

  fileprivate func value(for key: Key) -> Value? {
    removeExpired()
    guard let entry = entries[key] else {
      misses.add()
      return nil
    }
    hits.add()
    unlink(key)
    link(key)
    return entry.value
  }

  fileprivate func set(_ value: Value, bytes valueBytes: Int, for key: Key) {
    removeExpired()
    remove(key)
    let size = valueBytes + key.key.utf8.count + key.tenantID.utf8.count
    guard size <= limits.bytesMax else { return }
    while bytes + size > limits.bytesMax, let oldest { remove(oldest) }
    entries[key] = Entry(value: value, bytes: size)
    bytes += size
    link(key)
    lifetimes.set(key, expiresAt: clock.monotonic() + limits.timeToLive)
  }

  fileprivate func remove(_ key: Key) {
    guard let entry = entries[key] else { return }
    unlink(key)
    entries.removeValue(forKey: key)
    lifetimes.remove(key)
    bytes -= entry.bytes
  }

  private func removeExpired() {
    for key in lifetimes.removeExpired(now: clock.monotonic()) { remove(key) }
  }

  // MARK: Order of use

  private func link(_ key: Key) {
    entries[key]?.older = newest
    entries[key]?.newer = nil
    if let newest { entries[newest]?.newer = key } else { oldest = key }
    newest = key
  }

  private func unlink(_ key: Key) {
    guard let entry = entries[key] else { return }
    if let newer = entry.newer { entries[newer]?.older = entry.older } else { newest = entry.older }
    if let older = entry.older { entries[older]?.newer = entry.newer } else { oldest = entry.newer }
  }
}
