/// Byte-pair encoding as SentencePiece models use it through a `tokenizer.json`: no word borders,
/// spaces are `▁`, unknown characters fall back to their bytes. Adds no begin or end token.
package struct BPETokenizer: Sendable {
  /// A literal that is cut out before anything else, such as `</s>`.
  struct Special: Sendable {
    var literal: [UInt8]
    var id: UInt32
  }

  static let space: Unicode.Scalar = "\u{2581}"

  let specials: [Special]
  let unknown: UInt32
  let scalars: ScalarTable
  /// The id of each byte's token; `noToken` where the vocabulary has none.
  let bytes: [UInt32]
  let merges: MergeTable

  static let noToken = UInt32.max

  /// The ids of `text`; for a text of n bytes at most n + 1, in O(n log n).
  package func encode(_ text: String) -> [UInt32] {
    var ids: [UInt32] = []
    let bytes = Array(text.utf8)
    var start = 0
    var at = 0
    while at < bytes.count {
      guard let special = special(in: bytes, at: at) else {
        at += 1
        continue
      }
      encode(piece: bytes[start..<at], to: &ids)
      ids.append(special.id)
      at += special.literal.count
      start = at
    }
    encode(piece: bytes[start...], to: &ids)
    return ids
  }

  private func special(in bytes: [UInt8], at start: Int) -> Special? {
    guard bytes[start] == UInt8(ascii: "<") else { return nil }
    return specials.first { bytes[start...].starts(with: $0.literal) }
  }

  private func encode(piece: ArraySlice<UInt8>, to ids: inout [UInt32]) {
    guard !piece.isEmpty else { return }
    var symbols = [UInt32]()
    symbols.reserveCapacity(piece.count + 1)
    append(Self.space, to: &symbols)
    for scalar in String(decoding: piece, as: UTF8.self).unicodeScalars {
      append(scalar == " " ? Self.space : scalar, to: &symbols)
    }
    var merging = BPEMerging(symbols: symbols, merges: merges)
    merging.run()
    merging.appendResult(to: &ids)
  }

  private func append(_ scalar: Unicode.Scalar, to symbols: inout [UInt32]) {
    if let id = scalars.id(of: scalar) { return symbols.append(id) }
    let units = Array(String(scalar).utf8)
    if units.allSatisfy({ bytes[Int($0)] != Self.noToken }) {
      symbols += units.map { bytes[Int($0)] }
    } else if symbols.last != unknown {
      // Unknown characters in a row are one unknown token.
      symbols.append(unknown)
    }
  }
}

/// Merges the pair of lowest rank, leftmost first, until no pair has one: a heap of pairs over a
/// linked list of symbols.
private struct BPEMerging {
  private var ids: [UInt32]
  private var next: [Int32]
  private var previous: [Int32]
  /// Rank above, place of the left symbol below: the smallest is merged first.
  private var heap = MinimumHeap()
  private let merges: MergeTable
  private static let none: Int32 = -1

  init(symbols: [UInt32], merges: MergeTable) {
    ids = symbols
    self.merges = merges
    next = (0..<Int32(symbols.count)).map { $0 + 1 }
    previous = (0..<Int32(symbols.count)).map { $0 - 1 }
    if !next.isEmpty { next[next.count - 1] = Self.none }
    for place in symbols.indices.dropLast() { propose(place) }
  }

  mutating func run() {
    while let key = heap.removeFirst() {
      let left = Int(key & 0xFFFF_FFFF)
      // A pair that has changed since it was proposed has another rank, or none.
      guard ids[left] != BPETokenizer.noToken, next[left] != Self.none,
        let merge = merges.merge(of: ids[left], ids[Int(next[left])]),
        UInt64(merge.rank) == key >> 32
      else { continue }
      apply(merge, at: left)
    }
  }

  private mutating func apply(_ merge: MergeTable.Merge, at left: Int) {
    let right = Int(next[left])
    ids[left] = merge.id
    ids[right] = BPETokenizer.noToken
    next[left] = next[right]
    if next[left] != Self.none {
      previous[Int(next[left])] = Int32(left)
      propose(left)
    }
    if previous[left] != Self.none { propose(Int(previous[left])) }
  }

  private mutating func propose(_ left: Int) {
    guard let merge = merges.merge(of: ids[left], ids[Int(next[left])]) else { return }
    heap.insert(UInt64(merge.rank) << 32 | UInt64(left))
  }

  func appendResult(to result: inout [UInt32]) {
    for id in ids where id != BPETokenizer.noToken { result.append(id) }
  }
}

/// A binary heap of words, smallest first.
private struct MinimumHeap {
  private var items: [UInt64] = []

  mutating func insert(_ item: UInt64) {
    items.append(item)
    var at = items.count - 1
    while at > 0, items[at] < items[(at - 1) / 2] {
      items.swapAt(at, (at - 1) / 2)
      at = (at - 1) / 2
    }
  }

  mutating func removeFirst() -> UInt64? {
    guard let first = items.first else { return nil }
    let last = items.removeLast()
    if items.isEmpty { return first }
    items[0] = last
    var at = 0
    while true {
      var child = 2 * at + 1
      guard child < items.count else { return first }
      if child + 1 < items.count, items[child + 1] < items[child] { child += 1 }
      guard items[child] < items[at] else { return first }
      items.swapAt(at, child)
      at = child
    }
  }
}
