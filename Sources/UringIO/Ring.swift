import Base
import CURing
import Glibc

/// One io_uring: submission entries out, completions in. Knows nothing of who they are for.
final class Ring {
  typealias Entry = UnsafeMutablePointer<io_uring_sqe>

  let statistics: RingStatistics
  // The kernel and liburing keep pointers into it: it must not move.
  let pointer: UnsafeMutablePointer<io_uring>
  let mode: RingMode
  private(set) var isOpen = true
  /// Completions moved out of the ring and not yet acted on.
  private var batch: UnsafeMutableBufferPointer<kfm_completion>
  private var batchCount = 0
  /// Memory that the kernel keeps at hand, by its number; empty until the first is registered.
  private var registered: ContiguousArray<UnsafeRawBufferPointer?> = []

  private static let registeredMax = 8

  init(options: EventLoopOptions, statistics: RingStatistics) throws(RingFailure) {
    self.statistics = statistics
    pointer = .allocate(capacity: 1)
    batch = .allocate(capacity: options.completionEntries)
    var used = kfm_ring_mode(options.bestMode.rawValue)
    // Two linked operations must fit into one submission.
    let result = kfm_ring_setup(
      pointer, UInt32(max(2, options.submissionEntries)), UInt32(options.completionEntries), &used)
    mode = RingMode(rawValue: used.rawValue) ?? .plain
    guard result == 0 else {
      isOpen = false
      throw RingFailure(code: -result)
    }
  }

  deinit {
    close()
    pointer.deallocate()
    batch.deallocate()
  }

  func close() {
    guard isOpen else { return }
    isOpen = false
    io_uring_queue_exit(pointer)
  }

  /// A free submission entry, zeroed by whoever prepares it. Submits early when the queue is full.
  func entry() -> Entry {
    while true {
      if let entry = io_uring_get_sqe(pointer) { return entry }
      statistics.submissionQueueFull.add()
      enter(waiting: .zero)
      // A submission is refused while completions wait in the kernel: make room for them.
      drain()
    }
  }

  /// Makes sure that the next `count` entries go to the kernel in one submission, as linked ones
  /// must.
  func reserve(_ count: UInt32) {
    while io_uring_sq_space_left(pointer) < count {
      statistics.submissionQueueFull.add()
      enter(waiting: .zero)
      drain()
    }
  }

  /// Submits and reaps in one system call. Waits for one completion: without limit for nil, not
  /// at all for zero. Interrupted, timed out and refused calls all end alike: the caller's next
  /// turn tries again.
  func enter(waiting: Nanoseconds?) {
    statistics.enters.add()
    let result = kfm_ring_enter(pointer, waiting?.count ?? -1)
    if result == -EBUSY || result == -EAGAIN { statistics.completionQueueFull.add() }
  }

  /// Moves completions out of the ring into the batch, growing it if it must.
  private func drain() {
    while true {
      if batchCount == batch.count { growBatch() }
      let room = batch.count - batchCount
      let moved = Int(
        kfm_ring_drain(pointer, batch.baseAddress! + batchCount, UInt32(room)))
      batchCount += moved
      if moved == room { continue }
      // The kernel keeps what did not fit; there is room now.
      guard io_uring_cq_has_overflow(pointer) else { return }
      statistics.completionQueueFull.add()
      enter(waiting: .zero)
    }
  }

  /// Lets the kernel keep the pages of `memory` at hand, so that writes from there need not look
  /// them up. Returns whether it does: it may have no more room for such, or forbid it.
  func register(_ memory: UnsafeRawBufferPointer) -> Bool {
    guard isOpen else { return false }
    if registered.isEmpty {
      guard io_uring_register_buffers_sparse(pointer, UInt32(Self.registeredMax)) == 0 else {
        return false
      }
      registered = ContiguousArray(repeating: nil, count: Self.registeredMax)
    }
    guard let index = registered.firstIndex(where: { $0 == nil }), update(index, iovec(memory))
    else { return false }
    registered[index] = memory
    return true
  }

  /// The memory may go. Nothing is in flight with it.
  func unregister(_ memory: UnsafeRawBufferPointer) {
    guard isOpen,
      let index = registered.firstIndex(where: { $0?.baseAddress == memory.baseAddress })
    else { return }
    registered[index] = nil
    _ = update(index, iovec())
  }

  private func update(_ index: Int, _ piece: iovec) -> Bool {
    withUnsafePointer(to: piece) {
      io_uring_register_buffers_update_tag(pointer, UInt32(index), $0, nil, 1) == 1
    }
  }

  /// The number of the registered memory that `piece` is in.
  func registration(of piece: iovec) -> Int32? {
    let start = UInt(bitPattern: piece.iov_base)
    let index = registered.firstIndex {
      guard let memory = $0 else { return false }
      let first = UInt(bitPattern: memory.baseAddress)
      return start >= first && start - first + UInt(piece.iov_len) <= UInt(memory.count)
    }
    return index.map { Int32($0) }
  }

  /// Drains the ring, then hands each completion to `body`. Those drained meanwhile, because the
  /// submission queue filled up, are handed over too, in order.
  func forEachCompletion(_ body: (kfm_completion) -> Void) {
    drain()
    var next = 0
    while next < batchCount {
      let completion = batch[next]
      next += 1
      body(completion)
    }
    statistics.completions.add(batchCount)
    batchCount = 0
  }

  private func growBatch() {
    let larger = UnsafeMutableBufferPointer<kfm_completion>.allocate(capacity: batch.count * 2)
    _ = larger.moveInitialize(fromContentsOf: batch)
    batch.deallocate()
    batch = larger
  }
}
