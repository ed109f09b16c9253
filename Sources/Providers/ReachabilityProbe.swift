package import Base
import Glibc
package import HTTP
package import UringIO

/// Whether a provider's host takes TCP connections; never a model call. Results are kept and
/// renewed on demand, so that an idle node connects to nobody.
package final class ReachabilityProbe {
  /// SURFACE: `provider.<name>` is at most two seconds old.
  package static let ageMax = Nanoseconds.seconds(2)
  /// A host that takes longer is not worth calling reachable.
  private static let connectTimeout = Nanoseconds.seconds(2)
  /// Addresses of one name that are tried: one of each family.
  private static let addressesMax = 2

  private let url: HTTPURL
  private let loop: EventLoop
  private let sideThreads: SideThreads
  private var result: (reachable: Bool, detail: String) = (false, "not checked yet")
  private var checkedAt: Nanoseconds?
  private var isRunning = false
  private var waiters: [() -> Void] = []

  /// Starts the first probe.
  package init(url: HTTPURL, loop: EventLoop, sideThreads: SideThreads) {
    self.url = url
    self.loop = loop
    self.sideThreads = sideThreads
    start()
  }

  /// The last result; one that is getting old starts the next probe.
  package func current() -> (reachable: Bool, detail: String) {
    if !isFresh { start() }
    return result
  }

  /// Calls `completion` when the result is fresh, at once if it is, else within some seconds.
  package func refresh(_ completion: @escaping () -> Void) {
    if isFresh { return completion() }
    waiters.append(completion)
    start()
  }

  private var isFresh: Bool {
    guard let checkedAt else { return false }
    return loop.clock.monotonic() - checkedAt < Self.ageMax
  }

  private func start() {
    guard !isRunning else { return }
    isRunning = true
    // Numeric hosts need no look-up.
    let host = url.host.contains(":") ? "[\(url.host)]" : url.host
    if let address = SocketAddress(parsing: "\(host):\(url.port)") { return connect([address]) }
    let (name, port) = (url.host, url.port)
    do {
      try sideThreads.run({ Self.resolve(name, port) }, on: loop) { [weak self] addresses in
        self?.connect(addresses)
      }
    } catch {
      finish(false, "the name could not be looked up: \(error)")
    }
  }

  private func connect(_ addresses: [SocketAddress]) {
    guard let address = addresses.first else {
      return finish(false, "\(url.host) has no address")
    }
    loop.connect(to: address, timeout: Self.connectTimeout) { [weak self] outcome in
      switch outcome {
      case .success(let socket):
        socket.close()
        self?.finish(true, "connects")
      case .failure(let failure):
        let rest = Array(addresses.dropFirst())
        if rest.isEmpty { self?.finish(false, "\(failure)") } else { self?.connect(rest) }
      }
    }
  }

  private func finish(_ reachable: Bool, _ detail: String) {
    isRunning = false
    checkedAt = loop.clock.monotonic()
    result = (reachable, detail)
    let called = waiters
    waiters = []
    for waiter in called { waiter() }
  }

  /// Blocks: only for a side thread.
  private static func resolve(_ host: String, _ port: UInt16) -> [SocketAddress] {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(host, nil, &hints, &list) == 0 else { return [] }
    defer { freeaddrinfo(list) }
    var found: [SocketAddress] = []
    var families = Set<Int32>()
    var entry = list
    while let info = entry?.pointee, found.count < addressesMax {
      entry = info.ai_next
      guard families.insert(info.ai_family).inserted else { continue }
      var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
      guard
        getnameinfo(
          info.ai_addr, info.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
          == 0
      else { continue }
      let numeric = text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
      found.append(
        info.ai_family == AF_INET6
          ? .ipv6(host: numeric, port: port) : .ipv4(host: numeric, port: port))
    }
    return found
  }
}
