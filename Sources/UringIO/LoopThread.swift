import Glibc

/// A loop that runs on a thread of its own, as other threads see it.
package struct LoopThread: Sendable {
  package let handle: EventLoopHandle
  private let state: Locked<State>

  fileprivate enum State: Sendable {
    case starting
    case running(EventLoopHandle)
    case failed(RingFailure)
    case ended
  }

  /// Starts a thread, makes a loop there and runs it until `stop()`.
  package init(options: EventLoopOptions = EventLoopOptions()) throws(RingFailure) {
    let state = Locked(State.starting)
    LoopThreadBody(options: options, state: state).start()
    let result: Result<EventLoopHandle, RingFailure> = state.wait { state in
      switch state {
      case .starting: nil
      case .running(let handle): .success(handle)
      case .failed(let failure): .failure(failure)
      case .ended: nil
      }
    }
    self.state = state
    handle = try result.get()
  }

  /// Ends the loop; returns when its descriptors are closed. Not to be called on its thread.
  package func stop() {
    handle.post { $0.stop() }
    state.wait { state -> Void? in if case .ended = state { () } else { nil } }
  }
}

private final class LoopThreadBody: Sendable {
  let options: EventLoopOptions
  let state: Locked<LoopThread.State>

  init(options: EventLoopOptions, state: Locked<LoopThread.State>) {
    self.options = options
    self.state = state
  }

  func start() {
    guard startDetachedThread(self, { $0.run() }) else {
      return set(.failed(RingFailure(code: EAGAIN)))
    }
  }

  private func run() {
    do throws(RingFailure) {
      let loop = try EventLoop(options: options)
      set(.running(loop.handle))
      loop.run()
      loop.close()
      set(.ended)
    } catch {
      set(.failed(error))
    }
  }

  private func set(_ new: LoopThread.State) {
    state.withLock { $0 = new }
    state.notifyAll()
  }
}
