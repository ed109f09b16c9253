// Contract: entries of every kind are read; a malformed block is refused at the entry that is wrong.

import Base
import Iggy
import Testing

private func field(_ kind: UInt8, _ bytes: [UInt8]) -> [UInt8] {
  [kind, UInt8(bytes.count), 0, 0, 0] + bytes
}

private func readAll(_ block: [UInt8]) throws -> [UserHeaders.Entry] {
  try block.withUnsafeBytes { bytes in
    var reader = UserHeaders(bytes)
    var entries: [UserHeaders.Entry] = []
    while let entry = try reader.next() { entries.append(entry) }
    return entries
  }
}

@Suite struct UserHeadersTests {
  @Test func everyKindHasItsLength() throws {
    for kind in UserHeaders.Kind.allCases {
      for length in 1...255 {
        let value = [UInt8](repeating: 1, count: length)
        let block = field(2, [107]) + field(kind.rawValue, value)
        if kind.fixedLength == nil || kind.fixedLength == length {
          #expect(try readAll(block).first?.value.count == length)
        } else {
          #expect(throws: WireError.self) { try readAll(block) }
        }
      }
    }
  }

  @Test func unknownKindsEmptyAndLongFieldsAreRefused() {
    for kind: UInt8 in [0, 16, 255] {
      #expect(throws: WireError.headerEntry(offset: 0, kind: kind, length: 1)) {
        try readAll(field(kind, [1]) + field(2, [1]))
      }
    }
    #expect(throws: WireError.headerEntry(offset: 0, kind: 2, length: 0)) {
      try readAll(field(2, []) + field(2, [1]))
    }
    let long = [2, 0, 1, 0, 0] + [UInt8](repeating: 1, count: 256)
    #expect(throws: WireError.headerEntry(offset: 0, kind: 2, length: 256)) {
      try readAll(long + field(2, [1]))
    }
    #expect(throws: WireError.headerEntry(offset: 6, kind: 3, length: 1)) {
      try readAll(field(2, [107]) + field(3, [2]))
    }
  }

  @Test func everyTruncationIsRefused() throws {
    let block = field(2, [107, 108]) + field(2, [1, 2, 3])
    #expect(try readAll(block).count == 1)
    for length in 1..<block.count {
      #expect(throws: WireError.self) { try readAll(Array(block.prefix(length))) }
    }
  }
}
