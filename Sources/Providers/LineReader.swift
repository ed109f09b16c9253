import UringIO

/// Reads lines from a child's pipe as they come, and closes it at its end.
final class LineReader {
  /// Bytes of one line that are kept: a log line, not a dump.
  static let lineBytesMax = 1_024

  /// The newest line: what a process that ends says last is usually why.
  private(set) var lastLine: String?
  private let pipe: PipeReader
  private let onLine: (String) -> Void
  private var line: [UInt8] = []

  /// Takes over `descriptor`. To be closed in the end.
  init(loop: EventLoop, descriptor: Int32, onLine: @escaping (String) -> Void) {
    self.onLine = onLine
    pipe = PipeReader(loop: loop, descriptor: descriptor)
    pipe.onReceive = { [weak self] in self?.accept($0) }
    pipe.onEnd = { [weak self] _ in
      self?.flush()
      self?.close()
    }
  }

  func close() { pipe.close() }

  private func accept(_ bytes: UnsafeRawBufferPointer) {
    for byte in bytes {
      if byte == UInt8(ascii: "\n") {
        flush()
      } else if line.count < Self.lineBytesMax {
        line.append(byte)
      }
    }
  }

  private func flush() {
    guard !line.isEmpty else { return }
    let text = String(decoding: line, as: UTF8.self)
    line.removeAll(keepingCapacity: true)
    lastLine = text
    onLine(text)
  }
}
