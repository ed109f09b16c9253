package import Base
import Glibc

/// Where a command reads what it is given on standard input.
package protocol InputSource: AnyObject {
  var isTerminal: Bool { get }
  /// Everything up to the end; nil when it is more than `limit` bytes or cannot be read.
  func readAll(limit: ByteCount) -> [UInt8]?
}

/// A file descriptor, read with the calling thread waiting.
package final class DescriptorInput: InputSource {
  private let descriptor: Int32

  package init(_ descriptor: Int32) { self.descriptor = descriptor }

  package var isTerminal: Bool { isatty(descriptor) == 1 }

  package func readAll(limit: ByteCount) -> [UInt8]? {
    var all: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = read(descriptor, &piece, piece.count)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { return nil }
      guard count > 0 else { return all }
      all.append(contentsOf: piece[..<count])
      guard all.count <= limit.bytes else { return nil }
    }
  }
}
