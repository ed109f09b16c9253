import Glibc
import UringIO

/// Looks host names up off the loop: the system's resolver blocks.
final class NameResolver {
  private let loop: EventLoop
  /// Made for the first name; a node that only knows addresses needs no threads.
  private lazy var threads = SideThreads(threads: 2, queueMax: 256)

  init(loop: EventLoop) { self.loop = loop }

  /// The addresses of `host`, in the system's order of preference.
  func resolve(
    _ host: String, port: UInt16,
    completion: @escaping (Result<[SocketAddress], TransportFailure>) -> Void
  ) {
    // RFC 6761, section 6.3: such names never leave the machine, and not every resolver knows.
    if host == "localhost" || host.hasSuffix(".localhost") {
      return loop.enqueue {
        completion(
          .success([.ipv4(host: "127.0.0.1", port: port), .ipv6(host: "::1", port: port)]))
      }
    }
    do throws(SideThreads.QueueFull) {
      try threads.run({ Self.lookUp(host, port) }, on: loop, completion: completion)
    } catch {
      let failure = TransportFailure.unreachable("\(error)")
      loop.enqueue { completion(.failure(failure)) }
    }
  }

  private static func lookUp(
    _ host: String, _ port: UInt16
  ) -> Result<[SocketAddress], TransportFailure> {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_ADDRCONFIG
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, nil, &hints, &list)
    guard code == 0 else {
      return .failure(.nameUnknown("\(host): \(String(cString: gai_strerror(code)))"))
    }
    defer { freeaddrinfo(list) }
    var addresses: [SocketAddress] = []
    var next = list
    while let entry = next {
      if let address = address(entry.pointee, port) { addresses.append(address) }
      next = entry.pointee.ai_next
    }
    return addresses.isEmpty
      ? .failure(.nameUnknown("\(host) has no address")) : .success(addresses)
  }

  private static func address(_ entry: addrinfo, _ port: UInt16) -> SocketAddress? {
    var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    guard
      getnameinfo(
        entry.ai_addr, entry.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
        == 0
    else { return nil }
    let host = text.withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    switch entry.ai_family {
    case AF_INET: return .ipv4(host: host, port: port)
    case AF_INET6: return .ipv6(host: host, port: port)
    default: return nil
    }
  }
}
