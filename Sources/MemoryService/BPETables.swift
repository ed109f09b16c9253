/// Which pairs merge, in what order, to what: open addressing over flat words, since 61,249
/// merges as a Dictionary would cost ten times the memory.
struct MergeTable: Sendable {
  struct Merge: Sendable, Hashable {
    var rank: UInt32
    var id: UInt32
  }

  /// Key, then rank above id; a key of all ones is an empty slot.
  private var slots: [(key: UInt64, value: UInt64)]
  private let mask: Int
  private(set) var count = 0

  init(capacity: Int) {
    let size = max(16, capacity * 2).roundedUpToPowerOfTwo
    slots = Array(repeating: (.max, 0), count: size)
    mask = size - 1
  }

  /// The first merge of a pair counts.
  mutating func insert(_ left: UInt32, _ right: UInt32, _ merge: Merge) {
    precondition(count < slots.count / 2 + 1, "more merges than announced")
    let key = UInt64(left) << 32 | UInt64(right)
    let slot = slot(of: key)
    guard slots[slot].key == .max else { return }
    slots[slot] = (key, UInt64(merge.rank) << 32 | UInt64(merge.id))
    count += 1
  }

  func merge(of left: UInt32, _ right: UInt32) -> Merge? {
    let key = UInt64(left) << 32 | UInt64(right)
    let found = slots[slot(of: key)]
    guard found.key == key, key != .max else { return nil }
    return Merge(
      rank: UInt32(found.value >> 32), id: UInt32(truncatingIfNeeded: found.value))
  }

  private func slot(of key: UInt64) -> Int {
    var at = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
    while slots[at].key != key, slots[at].key != .max { at = (at + 1) & mask }
    return at
  }
}

/// The ids of tokens that are one character.
struct ScalarTable: Sendable {
  /// Scalar above id; all ones is an empty slot.
  private var slots: [UInt64]
  private let mask: Int

  init(_ entries: [(scalar: Unicode.Scalar, id: UInt32)]) {
    let size = max(16, entries.count * 2).roundedUpToPowerOfTwo
    slots = Array(repeating: .max, count: size)
    mask = size - 1
    for entry in entries {
      let slot = slot(of: entry.scalar.value)
      slots[slot] = UInt64(entry.scalar.value) << 32 | UInt64(entry.id)
    }
  }

  func id(of scalar: Unicode.Scalar) -> UInt32? {
    let found = slots[slot(of: scalar.value)]
    return found == .max ? nil : UInt32(truncatingIfNeeded: found)
  }

  private func slot(of scalar: UInt32) -> Int {
    var at = Int((scalar &* 0x9E37_79B1) >> 12) & mask
    while slots[at] != .max, slots[at] >> 32 != UInt64(scalar) { at = (at + 1) & mask }
    return at
  }
}

/// Token texts by content while a tokenizer is read: places in one buffer, no String a token.
struct TokenTexts {
  private var text: [UInt8] = []
  private var starts: [UInt32] = []
  private var lengths: [UInt32] = []
  private var ids: [UInt32] = []
  private var slots: [UInt32]
  private let mask: Int

  init(capacity: Int) {
    let size = max(16, capacity * 2).roundedUpToPowerOfTwo
    slots = Array(repeating: .max, count: size)
    mask = size - 1
    text.reserveCapacity(capacity * 8)
  }

  var count: Int { ids.count }

  mutating func insert(_ token: UnsafeRawBufferPointer, id: UInt32) {
    precondition(ids.count < slots.count / 2 + 1, "more tokens than announced")
    slots[slot(of: token)] = UInt32(ids.count)
    starts.append(UInt32(text.count))
    lengths.append(UInt32(token.count))
    ids.append(id)
    text.append(contentsOf: token)
  }

  func id(of token: UnsafeRawBufferPointer) -> UInt32? {
    let index = slots[slot(of: token)]
    return index == .max ? nil : ids[Int(index)]
  }

  private func slot(of token: UnsafeRawBufferPointer) -> Int {
    var hash = StableHash()
    for byte in token { hash.combine(byte) }
    var at = Int(truncatingIfNeeded: hash.mixed) & mask
    while slots[at] != .max, !matches(Int(slots[at]), token) { at = (at + 1) & mask }
    return at
  }

  private func matches(_ index: Int, _ token: UnsafeRawBufferPointer) -> Bool {
    guard Int(lengths[index]) == token.count else { return false }
    let start = Int(starts[index])
    for offset in 0..<token.count where text[start + offset] != token[offset] { return false }
    return true
  }
}

extension Int {
  fileprivate var roundedUpToPowerOfTwo: Int {
    1 << (Int.bitWidth - (self - 1).leadingZeroBitCount)
  }
}
