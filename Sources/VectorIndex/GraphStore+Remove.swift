import CVector

extension GraphStore {
  /// Removed slots are swept when they are more than one in so many, and more than `sweepMin`: late
  /// while rows only go, since a list is best mended once for all that it loses.
  private static let sweepShare = 4
  private static let sweepMin = 64
  /// The same where a row is added, and none of them can be used again yet.
  private static let reuseShare = 16
  /// The same where many rows are added: they are swept at once, so that the rows go into their
  /// slots, and neither walks of the additions nor later searches pass any.
  private static let manyShare = 64
  /// Lists looked at for each change while a sweep is under way: a few milliseconds at most.
  private static let sweepStep = 1024

  /// Takes the row of `id` out of all answers. Whether there was one.
  func remove(_ id: UInt64) -> Bool {
    guard let slot = unbind(id) else { return false }
    pending.append(slot)
    noteRemoved()
    return true
  }

  /// Tells searches whether removed rows can still be met.
  func noteRemoved() {
    cvx_set_removed_count(view, UInt32(pending.count + (sweep?.slots.count ?? 0)))
  }

  /// Removed rows whose memory is not in use again.
  var tombstones: Int { count - liveCount }

  /// A part of the work that removed rows leave behind; called with every change.
  func tidy(readers: OpaquePointer, scratch: InsertScratch, isAddition: Bool) {
    release(readers: readers)
    let share = isAddition && free.isEmpty ? Self.reuseShare : Self.sweepShare
    if sweep == nil, pending.count > max(Self.sweepMin, count / share) { beginSweep() }
    stepSweep(Self.sweepStep, readers: readers, scratch: scratch)
  }

  /// Sweeps all removed slots before `rows` are added, where that is worth a pass over all lists.
  func sweepForReuse(rows: Int, readers: OpaquePointer, scratch: InsertScratch) {
    let removed = Int(cvx_removed_count(view))
    guard free.isEmpty, rows > Self.sweepMin,
      removed > max(Self.sweepMin, count / Self.manyShare)
    else { return }
    finishSweep(readers: readers, scratch: scratch)
    if pending.isEmpty { return }
    beginSweep()
    finishSweep(readers: readers, scratch: scratch)
  }

  /// Completes a sweep that is under way, so that what a file holds does not depend on it.
  func finishSweep(readers: OpaquePointer, scratch: InsertScratch) {
    stepSweep(.max, readers: readers, scratch: scratch)
    release(readers: readers)
  }

  private func beginSweep() {
    var dead = [UInt64](repeating: 0, count: capacityWords)
    for slot in pending { dead[Int(slot >> 6)] |= 1 << UInt64(slot & 63) }
    sweep = Sweep(dead: dead, slots: pending.sorted(by: >))
    pending = []
    replaceEntry()
  }

  private var capacityWords: Int { count / 64 + 1 }

  /// A removed entry point hands over to the live row that reaches highest.
  private func replaceEntry() {
    guard !isLive(entry), liveCount > 0 else { return }
    var best: UInt32?
    for slot in 0..<UInt32(count) where isLive(slot) {
      if best.map({ level(slot) > level($0) }) ?? true { best = slot }
    }
    if let best { cvx_set_head(view, UInt32(count), best) }
  }

  private func stepSweep(_ lists: Int, readers: OpaquePointer, scratch: InsertScratch) {
    guard let current = sweep else { return }
    // Slots that came later were connected to live rows only.
    let end = min(current.dead.count * 64, count)
    let known = UInt32(count)
    let last = lists > end - current.next ? end : current.next + lists
    current.dead.withUnsafeBufferPointer { dead in
      // Rows that were removed since are still walked through: an edge of theirs must not lead to a
      // slot whose next row is being connected, which has no edges yet.
      for slot in current.next..<last where dead[slot >> 6] >> UInt64(slot & 63) & 1 == 0 {
        cvx_repair(view, scratch.memory, UInt32(slot), dead.baseAddress!, UInt32(end), known)
      }
    }
    sweep?.next = last
    guard last == end else { return }
    sweep = nil
    noteRemoved()
    limbo.append((cvx_readers_advance(readers), current.slots))
    release(readers: readers)
  }

  /// Hands slots that no reader can hold any more to the next rows.
  private func release(readers: OpaquePointer) {
    guard !limbo.isEmpty else { return }
    let oldest = cvx_readers_oldest(readers)
    while let first = limbo.first, first.epoch < oldest {
      for slot in first.slots { cvx_clear_edges(view, slot) }
      free = first.slots + free
      limbo.removeFirst()
    }
  }
}
