// Contract: what is written reads back the same; what cannot be written is refused with the reason.

import Base
import Iggy
import Testing

@Suite struct BatchWriterTests {
  private func write(
    _ payload: [UInt8], timestamp: UInt64 = 10, headers: Int = 0
  ) throws {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 300_000, alignment: 8)
    defer { memory.deallocate() }
    var writer = BatchWriter(into: memory, originTimestamp: 10)
    try payload.withUnsafeBytes { bytes in
      try writer.beginMessage(id: 1, timestamp: timestamp, payload: bytes)
    }
    [UInt8](repeating: 1, count: headers).withUnsafeBytes { writer.addHeaders($0) }
    try writer.endMessage()
  }

  @Test func limitsAreNamed() throws {
    try write([1], timestamp: 10 + UInt64(UInt32.max))
    try write([1], headers: UserHeaders.bytesMax)
    #expect(throws: WireError.payloadLength(index: 0, length: 0)) { try write([]) }
    #expect(throws: WireError.outOfRange(index: 0)) { try write([1], timestamp: 9) }
    #expect(throws: WireError.outOfRange(index: 0)) {
      try write([1], timestamp: 11 + UInt64(UInt32.max))
    }
    #expect(throws: WireError.headersLength(index: 0, length: UserHeaders.bytesMax + 1)) {
      try write([1], headers: UserHeaders.bytesMax + 1)
    }
  }

  @Test func keptChecksumsGiveTheSameBatch() throws {
    let batches = try [false, true].map { isKept -> [UInt8] in
      var memory = [UInt8](repeating: 0, count: 4096)
      let length = try memory.withUnsafeMutableBytes { memory -> Int in
        var writer = BatchWriter(into: memory, originTimestamp: 10, keepsChecksums: isKept)
        for index in 0..<7 {
          let payload = [UInt8](repeating: UInt8(index), count: index * 5 + 1)
          try payload.withUnsafeBytes {
            try writer.beginMessage(id: UInt128(index), timestamp: 10, payload: $0)
          }
          try writer.endMessage()
        }
        return writer.finish(stamp: .init(partitionID: 1, baseOffset: 9, baseTimestamp: 5)).count
      }
      return Array(memory.prefix(length))
    }
    #expect(batches[0] == batches[1])
    try batches[1].withUnsafeBytes { try BatchView($0).validate() }
  }

  /// Every part of a batch of five: the slice holds exactly those messages and validates.
  @Test func everySliceIsABatch() throws {
    var memory = [UInt8](repeating: 0, count: 4096)
    let length = try memory.withUnsafeMutableBytes { memory -> Int in
      var writer = BatchWriter(into: memory, originTimestamp: 10)
      for index in 0..<5 {
        try [UInt8](repeating: UInt8(index), count: index + 1).withUnsafeBytes {
          try writer.beginMessage(id: UInt128(index), timestamp: 10, payload: $0)
        }
        try writer.endMessage()
      }
      return writer.finish(stamp: .init(partitionID: 1, baseOffset: 100, baseTimestamp: 5)).count
    }
    try Array(memory.prefix(length)).withUnsafeBytes { bytes in
      let view = try BatchView(bytes)
      for first in 98...106 {
        for count in 0...6 {
          let expected = (100..<105).filter { $0 >= first }.prefix(count)
          let slice = try view.slice(from: UInt64(first), countMax: UInt32(count))
          #expect((slice == nil) == expected.isEmpty)
          guard let slice else { continue }
          var out = [UInt8](repeating: 0xEE, count: slice.length)
          try out.withUnsafeMutableBytes {
            let part = try BatchView(view.write(slice, to: $0))
            try part.validate()
            var offsets: [Int] = []
            try part.forEach {
              offsets.append(Int($0.offset))
              return true
            }
            #expect(offsets == Array(expected))
          }
        }
      }
    }
  }
}
