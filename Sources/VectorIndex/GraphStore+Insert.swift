import CVector

/// Memory for one thread's share of an insertion.
final class InsertScratch {
  let memory: UnsafeMutablePointer<cvx_scratch>

  init(dimension: Int) { memory = cvx_scratch_create(UInt32(dimension)) }

  deinit { cvx_scratch_destroy(memory) }
}

extension GraphStore {
  /// Rows that are connected together, at most. Each is compared with those of its group that come
  /// before it, which costs little while a group is small beside the graph it joins.
  private static let groupMax = 1024
  private static let groupShare = 32
  /// Groups below this are connected on the calling thread.
  private static let parallelMin = 64

  /// Rows of the next group, of `left`.
  func groupSize(_ left: Int) -> Int {
    let room = free.isEmpty ? capacity - count : free.count
    return min(left, Self.groupMax, max(1, count / Self.groupShare), room)
  }

  /// Adds a group of checked rows: each searches the graph as it was before on one of the threads,
  /// then all edges are set in the order of the slots. The number of threads changes nothing in
  /// the result.
  func insert(
    _ rows: UnsafePointer<Float>, ids: UnsafePointer<UInt64>, count rowCount: Int,
    areRotated: Bool = false, scratches: [InsertScratch]
  ) {
    let slots = takeSlots(rowCount)
    let dimension = options.dimension
    var rotated = [Float](repeating: 0, count: dimension)
    for (index, slot) in slots.enumerated() {
      rotated.withUnsafeMutableBufferPointer { buffer in
        buffer.baseAddress!.update(from: rows + index * dimension, count: dimension)
        if !areRotated { cvx_rotate(buffer.baseAddress!, dimension) }
        setRow(slot, buffer.baseAddress!, id: ids[index])
      }
    }
    if count == 0 {
      // The first row has nobody to be connected to.
      precondition(slots == [0])
      cvx_set_head(view, 1, 0)
      return bind(0)
    }
    let plans = plan(slots, scratches: scratches)
    publish(slots, plans)
    link(slots, plans, scratches: scratches)
    raiseEntry(slots)
    judgeNibbles(added: rowCount, scratch: scratches[0])
  }

  /// Free slots first, then new ones.
  private func takeSlots(_ wanted: Int) -> [UInt32] {
    if free.count >= wanted {
      let slots = Array(free.suffix(wanted).reversed())
      free.removeLast(wanted)
      for slot in slots { cvx_clear_edges(view, slot) }
      return slots
    }
    let first = count
    appendSlots(upTo: first + wanted)
    return (first..<first + wanted).map { UInt32($0) }
  }

  /// For each slot the words of its lists: `planWords` of them.
  private var planWords: Int { 2 * options.m + Self.levelMax * options.m }

  private func plan(_ slots: [UInt32], scratches: [InsertScratch]) -> [UInt32] {
    let words = planWords
    var plans = [UInt32](repeating: Self.noEdge, count: slots.count * words)
    let threads = slots.count < Self.parallelMin ? 1 : scratches.count
    nonisolated(unsafe) let view = view
    let (known, entry) = (UInt32(count), entry)
    let order = slots.count < Self.parallelMin ? nil : orderByRegion(slots, scratches[0])
    plans.withUnsafeMutableBufferPointer { buffer in
      slots.withUnsafeBufferPointer { slots in
        nonisolated(unsafe) let out = buffer.baseAddress!
        nonisolated(unsafe) let peers = slots.baseAddress!
        let rows = slots.count
        NativeThread.concurrently(threads) { [scratches = scratches.map { Unchecked($0) }] thread in
          for place in stride(from: thread, to: rows, by: threads) {
            let index = order.map { Int($0[place]) } ?? place
            cvx_plan(
              view, scratches[thread].value.memory, known, entry, peers[index],
              cvx_peers(slots: peers, count: UInt32(index)), out + index * words)
          }
        }
      }
    }
    return plans
  }

  /// An order in which walks go where the one before has just been, so that what they look at is
  /// near the processor still. It changes nothing in what they find.
  private func orderByRegion(_ slots: [UInt32], _ scratch: InsertScratch) -> [UInt32] {
    let regions = slots.enumerated().map { index, slot in
      (cvx_region(view, scratch.memory, UInt32(count), entry, slot), UInt32(index))
    }
    return regions.sorted(by: <).map(\.1)
  }

  /// Sets the new rows' own edges, and lets them be found.
  private func publish(_ slots: [UInt32], _ plans: [UInt32]) {
    plans.withUnsafeBufferPointer { plans in
      for (index, slot) in slots.enumerated() {
        for layer in 0...level(slot) {
          let at = index * planWords + (layer == 0 ? 0 : (layer + 1) * options.m)
          cvx_set_edges(view, slot, UInt32(layer), plans.baseAddress! + at)
        }
      }
    }
    for slot in slots {
      // A row that is replaced goes in the moment the new one comes.
      if let old = unbind(id(slot)) {
        pending.append(old)
        noteRemoved()
      }
      bind(slot)
    }
    let known = max(count, Int(slots[slots.count - 1]) + 1)
    cvx_set_head(view, UInt32(known), entry)
  }

  /// The edges back. Each list is written by one thread, from sources in ascending order.
  private func link(_ slots: [UInt32], _ plans: [UInt32], scratches: [InsertScratch]) {
    let top = slots.reduce(0) { max($0, level($1)) }
    for layer in 0...top {
      var wanted: [UInt64] = []
      wanted.reserveCapacity(slots.count * 2 * options.m)
      let start = layer == 0 ? 0 : (layer + 1) * options.m
      let length = layer == 0 ? 2 * options.m : options.m
      for (index, slot) in slots.enumerated() where level(slot) >= layer {
        for target in plans[index * planWords + start..<index * planWords + start + length] {
          if target == Self.noEdge { break }
          wanted.append(UInt64(target) << 32 | UInt64(slot))
        }
      }
      if slots.count > 1 { wanted.sort() }
      let threads = layer > 0 || slots.count < Self.parallelMin ? 1 : scratches.count
      apply(wanted, layer: layer, threads: threads, scratches: scratches)
    }
  }

  private func apply(
    _ wanted: [UInt64], layer: Int, threads: Int, scratches: [InsertScratch]
  ) {
    let bounds = (0...threads).map { Self.boundary(wanted, at: wanted.count * $0 / threads) }
    nonisolated(unsafe) let view = view
    NativeThread.concurrently(threads) { [scratches = scratches.map { Unchecked($0) }] thread in
      let scratch = scratches[thread].value.memory
      var at = bounds[thread]
      var sources: [UInt32] = []
      while at < bounds[thread + 1] {
        let target = UInt32(truncatingIfNeeded: wanted[at] >> 32)
        sources.removeAll(keepingCapacity: true)
        while at < wanted.count, UInt32(truncatingIfNeeded: wanted[at] >> 32) == target {
          sources.append(UInt32(truncatingIfNeeded: wanted[at]))
          at += 1
        }
        cvx_link(view, scratch, target, UInt32(layer), sources, UInt32(sources.count))
      }
    }
  }

  /// The first place at or after `at` where another target begins.
  private static func boundary(_ wanted: [UInt64], at start: Int) -> Int {
    var at = start
    while at > 0, at < wanted.count, wanted[at] >> 32 == wanted[at - 1] >> 32 { at += 1 }
    return at
  }

  private func raiseEntry(_ slots: [UInt32]) {
    var best = entry
    for slot in slots where level(slot) > level(best) { best = slot }
    cvx_set_head(view, UInt32(count), best)
  }
}

/// A value whose use by several threads is in the hands of the code around it.
struct Unchecked<Value>: @unchecked Sendable {
  let value: Value
  init(_ value: Value) { self.value = value }
}
