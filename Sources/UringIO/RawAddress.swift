import Glibc

/// An address in the kernel's form, at a stable place in memory.
final class RawAddress {
  let pointer: UnsafeMutablePointer<sockaddr>
  private(set) var length: socklen_t
  private let storage: UnsafeMutablePointer<sockaddr_storage>
  /// The directory a long socket path is reached through; open as long as this lives.
  private var directory: Int32 = -1

  /// Longest path that fits into `sockaddr_un`, without its final zero.
  static let unixPathBytesMax = 107

  var family: Int32 { Int32(storage.pointee.ss_family) }

  private init() {
    storage = .allocate(capacity: 1)
    storage.initialize(to: sockaddr_storage())
    pointer = UnsafeMutableRawPointer(storage).assumingMemoryBound(to: sockaddr.self)
    length = socklen_t(MemoryLayout<sockaddr_storage>.size)
  }

  deinit {
    storage.deallocate()
    if directory >= 0 { close(directory) }
  }

  convenience init(_ address: SocketAddress) throws(IOFailure) {
    self.init()
    let malformed = IOFailure(code: EINVAL, operation: "address", subject: "\(address)")
    switch address {
    case .ipv4(let host, let port):
      guard let value = sockaddr_in(host: host, port: port) else { throw malformed }
      store(value)
    case .ipv6(let host, let port):
      guard let value = sockaddr_in6(host: host, port: port) else { throw malformed }
      store(value)
    case .unix(let path):
      guard !path.isEmpty, !path.utf8.contains(0) else { throw malformed }
      try storeUnix(path)
    }
  }

  /// The address of a socket's own end, or of its peer.
  static func of(_ descriptor: Int32, peer: Bool) -> SocketAddress? {
    let raw = RawAddress()
    let result =
      peer
      ? getpeername(descriptor, raw.pointer, &raw.length)
      : getsockname(descriptor, raw.pointer, &raw.length)
    return result == 0 ? raw.decoded : nil
  }

  private func store<T>(_ value: T) {
    UnsafeMutableRawPointer(storage).storeBytes(of: value, as: T.self)
    length = socklen_t(MemoryLayout<T>.size)
  }

  /// A path that is too long is reached through a descriptor of its directory.
  private func storeUnix(_ path: String) throws(IOFailure) {
    guard path.utf8.count > Self.unixPathBytesMax else { return storeShort(path) }
    let slash = path.lastIndex(of: "/") ?? path.startIndex
    let parent =
      slash == path.startIndex ? (path.hasPrefix("/") ? "/" : ".") : String(path[..<slash])
    let name = path[slash...].drop { $0 == "/" }
    // O_PATH: 0o10000000, which Swift's Glibc module does not carry.
    directory = open(parent, 0o10000000 | O_DIRECTORY | O_CLOEXEC)
    guard directory >= 0 else { throw .last("open", parent) }
    let short = "/proc/self/fd/\(directory)/\(name)"
    guard short.utf8.count <= Self.unixPathBytesMax else {
      throw IOFailure(code: ENAMETOOLONG, operation: "address", subject: path)
    }
    storeShort(short)
  }

  private func storeShort(_ path: String) {
    var value = sockaddr_un()
    value.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &value.sun_path) { $0.copyBytes(from: path.utf8) }
    store(value)
  }

  private var decoded: SocketAddress? {
    let raw = UnsafeRawPointer(storage)
    switch family {
    case AF_INET:
      var value = raw.load(as: sockaddr_in.self)
      return .ipv4(
        host: Self.text(AF_INET, &value.sin_addr), port: UInt16(bigEndian: value.sin_port))
    case AF_INET6:
      var value = raw.load(as: sockaddr_in6.self)
      return .ipv6(
        host: Self.text(AF_INET6, &value.sin6_addr), port: UInt16(bigEndian: value.sin6_port))
    case AF_UNIX:
      let value = raw.load(as: sockaddr_un.self)
      let path = withUnsafeBytes(of: value.sun_path) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      return .unix(path: path)
    default: return nil
    }
  }

  private static func text(_ family: Int32, _ address: UnsafeRawPointer) -> String {
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    guard inet_ntop(family, address, &text, socklen_t(text.count)) != nil else { return "?" }
    return text.withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}
