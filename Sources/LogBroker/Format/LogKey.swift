import Base

/// What a log's batches are enciphered with at rest: 32 bytes, and the number by which frames on
/// disk name them. Never printed.
package struct LogKey: Sendable, Hashable, CustomStringConvertible, CustomReflectable {
  package static let length = 32

  let bytes: [UInt8]
  /// Says nothing about the key; never 0.
  package let id: UInt32

  /// 64 hexadecimal digits; nil for anything else.
  package init?(_ text: String) {
    guard let bytes = Hex.decode(text), bytes.count == Self.length else { return nil }
    self.bytes = bytes
    let digest = SHA256Digest(of: Array("kfm log key".utf8) + bytes).bytes
    let id = digest.prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    self.id = max(1, id)
  }

  package var description: String { "key \(Self.name(id))" }
  package var customMirror: Mirror { Mirror(self, children: []) }

  /// As people are told it: eight digits.
  static func name(_ id: UInt32) -> String {
    Hex.encode(withUnsafeBytes(of: id.bigEndian) { Array($0) })
  }
}
