import Glibc

/// Runs `body` with `owner` on a thread of its own, which keeps the owner alive until it ends.
/// False when the system gives none.
/// Signals are blocked there: they are for the loop, see `EventLoop.signals`.
func startDetachedThread<Owner: AnyObject & Sendable>(
  _ owner: Owner, _ body: @escaping @Sendable (Owner) -> Void
) -> Bool {
  var thread = pthread_t()
  var attributes = pthread_attr_t()
  pthread_attr_init(&attributes)
  pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
  let start = Unmanaged.passRetained(ThreadStart { body(owner) }).toOpaque()
  let result = pthread_create(
    &thread, &attributes,
    { argument in
      var signals = sigset_t()
      sigfillset(&signals)
      pthread_sigmask(SIG_BLOCK, &signals, nil)
      Unmanaged<ThreadStart>.fromOpaque(argument!).takeRetainedValue().body()
      return nil
    }, start)
  pthread_attr_destroy(&attributes)
  if result != 0 { Unmanaged<ThreadStart>.fromOpaque(start).release() }
  return result == 0
}

private final class ThreadStart: Sendable {
  let body: @Sendable () -> Void

  init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}
