import CLinux
import Glibc

extension EventLoop {
  /// Calls `body` on the loop for each signal of `set`, which stops having its usual effect on
  /// this thread. Call it before other threads start: they inherit the block, and a thread
  /// without it could still be killed. The registration ends with the loop.
  package func signals(
    _ set: [Int32], _ body: @escaping (Int32) -> Void
  ) throws(IOFailure) {
    let descriptor = set.withUnsafeBufferPointer {
      kfm_signal_descriptor($0.baseAddress, Int32($0.count))
    }
    guard descriptor >= 0 else { throw .last("signalfd") }
    _ = poll(descriptor: descriptor, events: .readable) { _ in
      var number: Int32 = 0
      while kfm_signal_read(descriptor, &number) > 0 { body(number) }
    }
  }
}
