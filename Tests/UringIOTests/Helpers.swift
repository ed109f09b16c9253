import Base
import Glibc
import TestSupport
import Testing
import UringIO

struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

/// Sends back whatever comes, and ends its stream when the peer has ended its own.
final class EchoServer {
  var listener: Listener!
  private(set) var sockets: [Socket] = []

  init(_ loop: EventLoop, _ address: SocketAddress) throws {
    listener = try loop.listen(on: address) { [unowned self] socket in
      sockets.append(socket)
      socket.onReceive = { [unowned socket] in socket.send($0) }
      socket.onEnd = { [unowned socket] end in
        if end == .peerClosed { socket.closeAfterSending() } else { socket.close() }
      }
      socket.startReceiving()
    }
  }
}

extension LoopHarness {
  func connect(_ address: SocketAddress) throws -> Socket {
    var result: Result<Socket, IOFailure>?
    loop.connect(to: address, timeout: LoopHarness.deadline) { result = $0 }
    #expect(until { result != nil })
    return try #require(result).get()
  }
}

/// Runs `body` on a thread of its own.
func startThread(_ body: @escaping @Sendable () -> Void) {
  let box = Unmanaged.passRetained(ThreadBody(body)).toOpaque()
  var thread = pthread_t()
  let result = pthread_create(
    &thread, nil,
    { argument in
      Unmanaged<ThreadBody>.fromOpaque(argument!).takeRetainedValue().body()
      return nil
    }, box)
  #expect(result == 0)
  pthread_detach(thread)
}

private final class ThreadBody {
  let body: @Sendable () -> Void

  init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

/// Descriptors this process has open now, by number.
func openDescriptors() -> Set<Int32> {
  Set((0..<1_024).filter { fcntl($0, F_GETFD) >= 0 })
}

/// Listens on a unix socket and never accepts; its backlog is full, so the next connection waits.
final class FullListener {
  private let path: String
  private let descriptor: Int32
  private let waiting: Int32
  private var isOpen = true

  init(path: String) throws {
    self.path = path
    descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    waiting = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let size = socklen_t(MemoryLayout<sockaddr_un>.size)
    withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
        #expect(bind(descriptor, raw, size) == 0)
        #expect(listen(descriptor, 0) == 0)
        #expect(connect(waiting, raw, size) == 0)
      }
    }
  }

  deinit { close() }

  func close(unlinking: Bool = true) {
    guard isOpen else { return }
    isOpen = false
    Glibc.close(waiting)
    Glibc.close(descriptor)
    if unlinking { unlink(path) }
  }
}

/// A socket on a loop, and the other end in the hands of the test.
final class SocketPair {
  let socket: Socket
  private let other: Int32

  init(_ loop: EventLoop) throws {
    var ends: [Int32] = [-1, -1]
    #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
    socket = Socket(loop: loop, descriptor: ends[0])
    other = ends[1]
  }

  func put(_ bytes: [UInt8]) { #expect(write(other, bytes, bytes.count) == bytes.count) }

  /// Up to `count` bytes that are there.
  func get(_ count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      filled = max(0, recv(other, buffer.baseAddress, count, Int32(MSG_DONTWAIT)))
    }
  }

  /// Puts in what there is room for.
  func offer(_ count: Int) {
    withUnsafeTemporaryAllocation(byteCount: count, alignment: 1) { bytes in
      bytes.initializeMemory(as: UInt8.self, repeating: 9)
      _ = Glibc.send(other, bytes.baseAddress, count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
    }
  }

  /// Takes out what is there.
  func drop() {
    withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 1) { bytes in
      while recv(other, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT)) > 0 {}
    }
  }

  func closeOther() { _ = Glibc.close(other) }

  func close() {
    socket.close()
    closeOther()
  }
}

/// A port of 127.0.0.1 that nobody listens on, nor can while this lives.
final class TakenPort {
  let port: UInt16
  private let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)

  init() {
    var raw = sockaddr_in()
    raw.sin_family = sa_family_t(AF_INET)
    raw.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = descriptor
    let result = withUnsafeMutablePointer(to: &raw) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) + getsockname(descriptor, $0, &length)
      }
    }
    #expect(result == 0)
    port = UInt16(bigEndian: raw.sin_port)
  }

  deinit { close(descriptor) }
}

/// A connection made by a blocking call, as the descriptor of the client.
func connectBlocking(to address: SocketAddress) -> Int32 {
  var raw = sockaddr_in()
  raw.sin_family = sa_family_t(AF_INET)
  raw.sin_port = address.port.bigEndian
  raw.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
  let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
  let result = withUnsafePointer(to: &raw) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
      Glibc.connect(client, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
    }
  }
  #expect(result == 0)
  return client
}
