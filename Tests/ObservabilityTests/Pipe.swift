import Base
import Glibc
import Synchronization
import Testing

/// A pipe whose ends are closed with it.
final class Pipe: Sendable {
  let reader: Int32
  let writer: Int32
  private let open = Mutex((reader: true, writer: true))

  init() {
    var ends: [Int32] = [0, 0]
    precondition(pipe(&ends) == 0, "pipe: errno \(errno)")
    (reader, writer) = (ends[0], ends[1])
  }

  deinit {
    closeReader()
    closeWriter()
  }

  func closeReader() {
    open.withLock {
      if $0.reader { close(reader) }; $0.reader = false
    }
  }

  func closeWriter() {
    open.withLock {
      if $0.writer { close(writer) }; $0.writer = false
    }
  }

  func setNonBlocking() { _ = fcntl(writer, F_SETFL, fcntl(writer, F_GETFL) | O_NONBLOCK) }

  /// Closes the writer's end and parses what was written.
  func lines() throws -> [JSON] {
    closeWriter()
    return try Self.parse(readAll())
  }

  static func parse(_ bytes: [UInt8]) throws -> [JSON] {
    try bytes.split(separator: 0x0A).map { try JSON(parsing: Array($0)) }
  }

  func readInBackground() -> Collector {
    let collector = Collector(pipe: self)
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(collector).toOpaque()
    pthread_create(
      &thread, nil,
      {
        let collector = Unmanaged<Collector>.fromOpaque($0!).takeRetainedValue()
        collector.run()
        return nil
      }, argument)
    collector.thread.withLock { $0 = thread }
    return collector
  }

  final class Collector: Sendable {
    let thread = Mutex<pthread_t>(0)
    private let pipe: Pipe
    private let bytes = Mutex<[UInt8]>([])

    init(pipe: Pipe) { self.pipe = pipe }

    func run() {
      let all = pipe.readAll()
      bytes.withLock { $0 = all }
    }

    func wait() -> [UInt8] {
      pthread_join(thread.withLock { $0 }, nil)
      return bytes.withLock { $0 }
    }
  }

  private func readAll() -> [UInt8] {
    var all: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = read(reader, &buffer, buffer.count)
      guard count > 0 else { return all }
      all.append(contentsOf: buffer[..<count])
    }
  }
}
