import Base
import CLinux
import CURing
import Glibc

/// The back-end where io_uring is not to be had: sockets, pipes and the like by readiness, files by
/// a few threads. Clients see the same requests and completions. Level-triggered: what one turn
/// leaves unread is reported again in the next, so none has to be read to its end.
final class Epoll {
  let statistics: RingStatistics
  private(set) var isOpen = true
  /// Where `Request.receive` puts bytes.
  var buffers: ReceiveBuffers?

  private let descriptor: Int32
  private let files: FileThreads
  /// Indexed by descriptor.
  private var watched: ContiguousArray<Watched> = []
  /// Indexed by the slot of the operation.
  private var waiting: ContiguousArray<Waiting> = []
  /// Descriptors whose interest the kernel does not know yet.
  private var changed: ContiguousArray<Int32> = []
  /// Descriptors that became ready in this turn, `readyCount` of them.
  private let ready = UnsafeMutableBufferPointer<kfm_ready>.allocate(capacity: readyMax)
  private var readyCount = 0
  /// What has completed; `acting` is what the loop acts on now, so that an operation which
  /// completes at once waits for the next turn like any other.
  private var completed: ContiguousArray<kfm_completion> = []
  private var acting: ContiguousArray<kfm_completion> = []
  /// A write to which the next operation is linked.
  private var linkHead: FileThreads.Job?
  /// Connects to a unix socket whose backlog is full: the kernel does not say when to try again.
  private var blockedConnects: ContiguousArray<(request: Request, id: OperationID)> = []
  private var hasSkippedWait = false
  /// Operations in the hands of the file threads.
  private var filesInFlight = 0

  /// Operations that wait for one descriptor, the first to come first.
  private struct Watched {
    var first = Self.none
    var isChanged = false

    static let none: Int32 = -1
  }

  private struct Waiting {
    var request = Request.sync(descriptor: -1)
    var id = OperationID.none
    var next = Watched.none
    /// Bytes sent so far.
    var progress = 0
  }

  /// Descriptors acted on in one turn; the kernel goes round among those that are ready. With a
  /// full buffer of each, a turn stays a matter of a few milliseconds.
  private static let readyMax = 64
  /// Connections one listener accepts before it is the turn of the others.
  private static let acceptsPerTurn = 16
  /// Filled one at a time, and acted on before the next: one is in use, others are at hand.
  static let receiveBuffersMax = 4
  private static let connectRetryTime = Nanoseconds.milliseconds(5)

  init(mailbox: Mailbox, statistics: RingStatistics) throws(RingFailure) {
    self.statistics = statistics
    descriptor = kfm_epoll_make()
    files = FileThreads(mailbox: mailbox)
    guard descriptor >= 0 else {
      isOpen = false
      throw RingFailure(code: -descriptor)
    }
  }

  deinit {
    close()
    ready.deallocate()
  }

  func close() {
    guard isOpen else { return }
    isOpen = false
    files.close()
    Glibc.close(descriptor)
  }
}

// MARK: - Operations

extension Epoll {
  func submit(_ request: Request, _ id: OperationID, linked: Bool) {
    switch request {
    case .read, .write, .sync: submitFile(request, id, linked: linked)
    case .send, .sendMessage: send(request, id)
    case .connect(let socket, _, _):
      kfm_set_blocking(socket, 0)
      connect(request, id)
    case .accept(let socket, _):
      // A connection that goes away between readiness and accept must not block the loop.
      kfm_set_blocking(socket, 0)
      wait(request, id)
    case .receive, .receiveOnce, .receiveInto, .poll, .wake: wait(request, id)
    }
  }

  /// Ends an operation that waits. One in the hands of a file thread goes on: it completes soon, or
  /// its disk is stuck and nothing could end it.
  func cancel(_ id: OperationID) {
    if let index = blockedConnects.firstIndex(where: { $0.id == id }) {
      blockedConnects.remove(at: index)
      return complete(id, -ECANCELED)
    }
    guard id.slot < waiting.count, waiting[id.slot].id == id else { return }
    let progress = waiting[id.slot].progress
    finish(id.slot, progress > 0 ? Int32(progress) : -ECANCELED)
    // At once: the descriptor may be closed right after.
    update(waiting[id.slot].request.watchedDescriptor)
  }

  func cancelAll() {
    for blocked in blockedConnects { cancel(blocked.id) }
    for slot in waiting.indices where waiting[slot].id != .none { cancel(waiting[slot].id) }
    files.cancelWaiting()
  }

  private func submitFile(_ request: Request, _ id: OperationID, linked: Bool) {
    filesInFlight += 1
    if var head = linkHead {
      linkHead = nil
      head.next = (request, id)
      files.add(head)
    } else {
      let job = FileThreads.Job(request: request, id: id, next: nil)
      if linked { linkHead = job } else { files.add(job) }
    }
  }

  /// Puts an operation behind those that wait for the same descriptor.
  private func wait(_ request: Request, _ id: OperationID, progress: Int = 0) {
    let watching = request.watchedDescriptor
    guard watching >= 0 else { return complete(id, -EBADF) }
    while waiting.count <= id.slot { waiting.append(Waiting()) }
    while watched.count <= watching { watched.append(Watched()) }
    waiting[id.slot] = Waiting(request: request, id: id, progress: progress)
    var last = watched[Int(watching)].first
    if last == Watched.none {
      watched[Int(watching)].first = Int32(id.slot)
    } else {
      while waiting[Int(last)].next != Watched.none { last = waiting[Int(last)].next }
      waiting[Int(last)].next = Int32(id.slot)
    }
    change(watching)
  }

  /// Takes an operation out and completes it.
  private func finish(_ slot: Int, _ result: Int32, _ flags: UInt32 = 0) {
    let id = waiting[slot].id
    let watching = waiting[slot].request.watchedDescriptor
    waiting[slot].id = .none
    complete(id, result, flags)
    let next = waiting[slot].next
    if watched[Int(watching)].first == slot {
      watched[Int(watching)].first = next
    } else {
      var previous = watched[Int(watching)].first
      while waiting[Int(previous)].next != slot { previous = waiting[Int(previous)].next }
      waiting[Int(previous)].next = next
    }
    change(watching)
  }

  private func complete(_ id: OperationID, _ result: Int32, _ flags: UInt32 = 0) {
    completed.append(kfm_completion(user_data: id.raw, result: result, flags: flags))
  }

  private func change(_ watching: Int32) {
    guard !watched[Int(watching)].isChanged else { return }
    watched[Int(watching)].isChanged = true
    changed.append(watching)
  }

  /// Tells the kernel what is waited for. Always, also when it should know: the descriptor may have
  /// been closed and its number given out again meanwhile.
  private func update(_ watching: Int32) {
    watched[Int(watching)].isChanged = false
    var slot = watched[Int(watching)].first
    guard slot != Watched.none else { return kfm_epoll_remove(descriptor, watching) }
    var events: UInt32 = 0
    while slot != Watched.none {
      events |= waiting[Int(slot)].request.interest
      slot = waiting[Int(slot)].next
    }
    let result = kfm_epoll_set(descriptor, watching, events)
    if result != 0 { refused(watching, result) }
  }

  /// A descriptor that cannot be watched: a regular file is always ready, others are none.
  private func refused(_ watching: Int32, _ result: Int32) {
    while watched[Int(watching)].first != Watched.none {
      let slot = Int(watched[Int(watching)].first)
      if result == -EPERM, case .poll(_, let events) = waiting[slot].request {
        finish(slot, Int32(events & UInt32(POLLIN | POLLOUT)))
      } else {
        finish(slot, result)
      }
    }
  }
}

// MARK: - The turn

extension Epoll {
  /// Tells the kernel what changed and waits as `Ring.enter` does. What became possible is
  /// performed in `forEachCompletion`.
  func enter(waiting limit: Nanoseconds?) {
    retryConnects()
    applyChanges()
    takeFiles()
    var limit = limit
    if !completed.isEmpty {
      // What has completed without waiting is acted on first; the kernel is asked every other time
      // at least, so that a chain of such operations holds nobody up.
      hasSkippedWait.toggle()
      if hasSkippedWait { return }
      limit = .zero
    }
    hasSkippedWait = false
    if !blockedConnects.isEmpty {
      limit = min(limit ?? Self.connectRetryTime, Self.connectRetryTime)
    }
    statistics.enters.add()
    let count = kfm_epoll_wait(
      descriptor, ready.baseAddress, Int32(Self.readyMax), limit?.count ?? -1)
    readyCount = max(0, Int(count))
    takeFiles()
  }

  private func takeFiles() {
    if filesInFlight > 0 { filesInFlight -= files.take(into: &completed) }
  }

  private func applyChanges() {
    var next = 0
    while next < changed.count {
      let watching = changed[next]
      next += 1
      if watched[Int(watching)].isChanged { update(watching) }
    }
    changed.removeAll(keepingCapacity: true)
  }

  /// Hands each completion to `body`, not those of operations that `body` asks for: first what has
  /// completed already, then descriptor by descriptor what became possible, so that received bytes
  /// are acted on while they are in the cache, and in buffers that are there already.
  func forEachCompletion(_ body: (kfm_completion) -> Void) {
    act(from: 0, body)
    for index in 0..<readyCount where isCurrent(ready[index]) {
      let mark = completed.count
      perform(ready[index])
      act(from: mark, body)
    }
    readyCount = 0
  }

  private func act(from mark: Int, _ body: (kfm_completion) -> Void) {
    guard completed.count > mark else { return }
    if mark == 0 {
      swap(&completed, &acting)
    } else {
      acting.append(contentsOf: completed[mark...])
      completed.removeSubrange(mark...)
    }
    for completion in acting { body(completion) }
    statistics.completions.add(acting.count)
    acting.removeAll(keepingCapacity: true)
  }

  /// Whether the event tells of what is waited for now. Callbacks of this turn may have closed the
  /// descriptor and got its number again: what they wait for the kernel reports in the next turn.
  private func isCurrent(_ event: kfm_ready) -> Bool {
    Int(event.descriptor) >= watched.count || !watched[Int(event.descriptor)].isChanged
  }

  private func perform(_ ready: kfm_ready) {
    let watching = ready.descriptor
    guard Int(watching) < watched.count, watched[Int(watching)].first != Watched.none else {
      return kfm_epoll_remove(descriptor, watching)
    }
    let broken = UInt32(POLLERR | POLLHUP)
    var slot = watched[Int(watching)].first
    while slot != Watched.none {
      let index = Int(slot)
      slot = waiting[index].next
      let found = ready.events & (waiting[index].request.interest | broken)
      if found != 0 { perform(index, watching, found) }
    }
  }

  private func perform(_ slot: Int, _ watching: Int32, _ found: UInt32) {
    switch waiting[slot].request {
    case .accept(_, let single): accept(slot, watching, single: single)
    case .connect:
      let error = kfm_socket_error(watching)
      kfm_set_blocking(watching, 1)
      finish(slot, -error)
    case .receive: receive(slot, watching)
    case .receiveOnce: receiveOnce(slot, watching)
    case .receiveInto(_, let buffer): receive(slot, watching, into: buffer)
    case .send, .sendMessage: sendRest(slot)
    case .poll: finish(slot, Int32(found))
    case .wake: complete(waiting[slot].id, Int32(found), CompletionFlags.more.rawValue)
    case .read, .write, .sync: preconditionFailure("files do not wait for readiness")
    }
  }

  private func accept(_ slot: Int, _ listener: Int32, single: Bool) {
    for _ in 0..<(single ? 1 : Self.acceptsPerTurn) {
      let result = kfm_accept(listener)
      if result == -EAGAIN { return }
      guard result >= 0, !single else { return finish(slot, result) }
      complete(waiting[slot].id, result, CompletionFlags.more.rawValue)
    }
  }

  private func receive(_ slot: Int, _ socket: Int32) {
    receive(slot, socket) { [self] count, flags in
      complete(waiting[slot].id, count, flags | CompletionFlags.more.rawValue)
    }
  }

  private func receiveOnce(_ slot: Int, _ socket: Int32) {
    receive(slot, socket) { [self] in finish(slot, $0, $1) }
  }

  /// Fills one buffer and hands the flags that name it to `done`, or ends the operation.
  private func receive(_ slot: Int, _ socket: Int32, done: (Int32, UInt32) -> Void) {
    guard let buffers, let index = buffers.take() else { return finish(slot, -ENOBUFS) }
    let space = buffers.space(index)
    let count = recv(socket, space.baseAddress, space.count, Int32(MSG_DONTWAIT))
    guard count > 0 else {
      let code = count < 0 ? errno : 0
      buffers.recycle(index)
      if code != EAGAIN, code != EINTR { finish(slot, -code) }
      return
    }
    done(
      Int32(count),
      UInt32(index) << CompletionFlags.bufferShift | CompletionFlags.hasBuffer.rawValue)
  }

  private func receive(
    _ slot: Int, _ socket: Int32, into buffer: UnsafeMutableRawBufferPointer
  ) {
    let count = recv(socket, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
    if count >= 0 {
      finish(slot, Int32(count))
    } else if errno != EAGAIN, errno != EINTR {
      finish(slot, -errno)
    }
  }

  private func send(_ request: Request, _ id: OperationID) {
    var progress = 0
    if let result = request.send(from: &progress) { return complete(id, result) }
    wait(request, id, progress: progress)
  }

  private func sendRest(_ slot: Int) {
    if let result = waiting[slot].request.send(from: &waiting[slot].progress) {
      finish(slot, result)
    }
  }

  private func connect(_ request: Request, _ id: OperationID) {
    guard case .connect(let socket, let address, let length) = request else { return }
    let result = Glibc.connect(socket, address, length)
    switch result == 0 ? 0 : errno {
    case EINPROGRESS, EINTR: wait(request, id)
    case EAGAIN: blockedConnects.append((request, id))
    case let code:
      kfm_set_blocking(socket, 1)
      complete(id, -code)
    }
  }

  private func retryConnects() {
    guard !blockedConnects.isEmpty else { return }
    let again = blockedConnects
    blockedConnects.removeAll(keepingCapacity: true)
    for (request, id) in again { connect(request, id) }
  }
}
