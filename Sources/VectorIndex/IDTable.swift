/// Which slot an id has: open addressing over the slots alone, whose ids are in the rows' own
/// array, in shards that grow one by one, so that no addition ever rehashes everything.
struct IDTable {
  private static let shards = 256
  private static let empty = UInt32.max
  private static let removed = UInt32.max - 1

  private struct Shard {
    var slots: [UInt32] = []
    /// Places that are not empty, removed ones included.
    var used = 0
    var live = 0
  }

  private var shards = [Shard](repeating: Shard(), count: IDTable.shards)
  private(set) var count = 0

  @inline(__always)
  private static func hash(_ id: UInt64) -> UInt64 {
    var mixed = id &* 0x9E37_79B9_7F4A_7C15
    mixed ^= mixed >> 32
    return mixed &* 0xD6E8_FEB8_6659_FD93
  }

  func slot(of id: UInt64, _ ids: UnsafePointer<UInt64>) -> UInt32? {
    let hash = Self.hash(id)
    let shard = shards[Int(hash >> 56)]
    guard !shard.slots.isEmpty else { return nil }
    let mask = shard.slots.count - 1
    var at = Int(truncatingIfNeeded: hash) & mask
    while shard.slots[at] != Self.empty {
      let slot = shard.slots[at]
      if slot != Self.removed, ids[Int(slot)] == id { return slot }
      at = (at + 1) & mask
    }
    return nil
  }

  /// Binds an id that is not bound; `ids` holds it at `slot` already.
  mutating func bind(_ id: UInt64, to slot: UInt32, _ ids: UnsafePointer<UInt64>) {
    let number = Int(Self.hash(id) >> 56)
    if (shards[number].used + 1) * 4 > shards[number].slots.count * 3 { regrow(number, ids) }
    Self.place(slot, of: id, in: &shards[number])
    shards[number].live += 1
    count += 1
  }

  /// The slot the id had.
  mutating func unbind(_ id: UInt64, _ ids: UnsafePointer<UInt64>) -> UInt32? {
    let hash = Self.hash(id)
    let number = Int(hash >> 56)
    guard !shards[number].slots.isEmpty else { return nil }
    let mask = shards[number].slots.count - 1
    var at = Int(truncatingIfNeeded: hash) & mask
    while shards[number].slots[at] != Self.empty {
      let slot = shards[number].slots[at]
      if slot != Self.removed, ids[Int(slot)] == id {
        shards[number].slots[at] = Self.removed
        shards[number].live -= 1
        count -= 1
        return slot
      }
      at = (at + 1) & mask
    }
    return nil
  }

  private static func place(_ slot: UInt32, of id: UInt64, in shard: inout Shard) {
    let mask = shard.slots.count - 1
    var at = Int(truncatingIfNeeded: hash(id)) & mask
    while shard.slots[at] != empty { at = (at + 1) & mask }
    shard.slots[at] = slot
    shard.used += 1
  }

  private mutating func regrow(_ number: Int, _ ids: UnsafePointer<UInt64>) {
    var roomier = Shard(live: shards[number].live)
    var places = 4
    while places < (shards[number].live + 1) * 2 { places *= 2 }
    roomier.slots = [UInt32](repeating: Self.empty, count: places)
    for slot in shards[number].slots where slot < Self.removed {
      Self.place(slot, of: ids[Int(slot)], in: &roomier)
    }
    shards[number] = roomier
  }
}
