package import Base
import Glibc

/// Where a command reads what it is given on standard input.
package protocol InputSource: AnyObject {
  var isTerminal: Bool { get }
  /// Everything up to the end; nil when it is more than `limit` bytes or cannot be read.
  func readAll(limit: ByteCount) -> [UInt8]?
  /// The next line, without its end, as soon as it is there. Not to be mixed with `readAll`.
  func readLine(limit: ByteCount) -> InputLine
}

package enum InputLine: Equatable {
  case line([UInt8])
  case end
  /// It is longer than allowed, or cannot be read.
  case failed
}

/// A file descriptor, read with the calling thread waiting.
package final class DescriptorInput: InputSource {
  private let descriptor: Int32
  /// Read already, and not handed out as a line yet.
  private var pending: [UInt8] = []

  private static let pieceBytes = 16 << 10

  package init(_ descriptor: Int32) { self.descriptor = descriptor }

  package var isTerminal: Bool { isatty(descriptor) == 1 }

  package func readAll(limit: ByteCount) -> [UInt8]? {
    var all: [UInt8] = []
    while true {
      guard let piece = readPiece() else { return nil }
      guard !piece.isEmpty else { return all }
      all.append(contentsOf: piece)
      guard all.count <= limit.bytes else { return nil }
    }
  }

  package func readLine(limit: ByteCount) -> InputLine {
    while true {
      if let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
        let line = Array(pending[..<end])
        pending.removeSubrange(...end)
        return line.count <= limit.bytes ? .line(line) : .failed
      }
      guard pending.count <= limit.bytes, let piece = readPiece() else { return .failed }
      if piece.isEmpty {
        defer { pending.removeAll() }
        return pending.isEmpty ? .end : .line(pending)
      }
      pending.append(contentsOf: piece)
    }
  }

  /// What is there next, at least a byte; empty at the end, nil when it cannot be read.
  private func readPiece() -> ArraySlice<UInt8>? {
    var piece = [UInt8](repeating: 0, count: Self.pieceBytes)
    while true {
      let count = read(descriptor, &piece, piece.count)
      if count < 0 && errno == EINTR { continue }
      return count >= 0 ? piece[..<count] : nil
    }
  }
}
