import CLinux
import Glibc

extension EventLoop {
  /// Calls `body` on the loop for each signal of `set`, which stops having its usual effect on
  /// this thread. Call it before other threads start: they inherit the block, and the signal
  /// could still kill the process through one without it. The registration ends with the loop.
  package func signals(
    _ set: [Int32], _ body: @escaping (Int32) -> Void
  ) throws(IOFailure) {
    let descriptor = set.withUnsafeBufferPointer {
      kfm_signal_descriptor($0.baseAddress, Int32($0.count))
    }
    guard descriptor >= 0 else { throw .last("signalfd") }
    let source = SignalSource(descriptor: descriptor)
    _ = poll(descriptor: descriptor, events: .readable) { _ in
      while let signal = source.next() { body(signal) }
    }
  }
}

/// Owns a signalfd; closed when the loop lets go of the registration.
private final class SignalSource {
  private let descriptor: Int32

  init(descriptor: Int32) { self.descriptor = descriptor }

  deinit { close(descriptor) }

  func next() -> Int32? {
    var number: Int32 = 0
    return kfm_signal_read(descriptor, &number) > 0 ? number : nil
  }
}
