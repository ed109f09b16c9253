// Contract: no bytes make the reader trap, read outside of its buffer or accept what is damaged.
// Every truncation and every flipped bit of a batch with all its features is refused; absurd
// fields behind true checksums are refused too.

import Base
import Iggy
import Testing

/// Three messages, two of them with headers, stamped; in exactly as many bytes as it needs.
private func sampleBatch() throws -> [UInt8] {
  let payloads: [[UInt8]] = [[1, 2, 3], Array("{\"a\":1}".utf8), [0xFF]]
  var memory = [UInt8](repeating: 0, count: 4096)
  let length = try memory.withUnsafeMutableBytes { memory -> Int in
    var writer = BatchWriter(into: memory, originTimestamp: 1_795_336_408_363_498)
    for (index, payload) in payloads.enumerated() {
      try payload.withUnsafeBytes {
        try writer.beginMessage(
          id: UInt128(index) << 100 | 7, timestamp: 1_795_336_408_363_498 + UInt64(index * 5),
          payload: $0)
      }
      if index < 2 {
        Array("PlanEvent.v1".utf8).withUnsafeBytes { writer.addHeader(key: "type", value: $0) }
      }
      try writer.endMessage()
    }
    return writer.finish(stamp: .init(partitionID: 3, baseOffset: 900, baseTimestamp: 77)).count
  }
  return Array(memory.prefix(length))
}

/// Reads all there is in memory of exactly the right size, so that the address sanitizer sees any
/// step outside.
private func isAccepted(_ bytes: [UInt8]) -> Bool {
  let exact = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
  defer { exact.deallocate() }
  exact.copyBytes(from: bytes)
  guard let view = try? BatchView(UnsafeRawBufferPointer(exact)) else { return false }
  return (try? view.validate()) != nil
}

/// Sets a field and makes every checksum true again, where the structure still allows it.
private func forged(
  _ batch: [UInt8], at offset: Int, to value: some FixedWidthInteger & BitwiseCopyable
) -> [UInt8] {
  var batch = batch
  batch.withUnsafeMutableBytes { bytes in
    bytes.storeLittleEndian(value, at: offset)
    try? BatchHeader.stamp(.init(partitionID: 3, baseOffset: 900, baseTimestamp: 77), in: bytes)
  }
  return batch
}

@Suite struct BatchDamageTests {
  @Test func everyTruncationIsRefused() throws {
    let batch = try sampleBatch()
    #expect(isAccepted(batch))
    for length in 0..<batch.count { #expect(!isAccepted(Array(batch.prefix(length)))) }
  }

  @Test func everyFlippedBitIsDetected() throws {
    let batch = try sampleBatch()
    for index in batch.indices {
      for bit in 0..<8 {
        var damaged = batch
        damaged[index] ^= 1 << UInt8(bit)
        #expect(!isAccepted(damaged), "byte \(index), bit \(bit)")
      }
    }
  }

  @Test func whatFollowsABatchIsNotItsOwn() throws {
    let batch = try sampleBatch()
    let view = try (batch + [9, 9, 9]).withUnsafeBytes { try BatchView($0).bytes.count }
    #expect(view == batch.count)
  }

  /// Lengths and counts as an attacker would choose them, at every place that has one.
  @Test func absurdFieldsAreRefused() throws {
    let batch = try sampleBatch()
    let absurd: [UInt64] = [0, 1, 255, 256, 303, 1 << 31, 1 << 32 - 1, 1 << 63, .max, .max - 255]
    for value in absurd {
      for offset in [32, 48, 256 + 24, 256 + 32, 256 + 36, 256 + 40] {
        if offset == 32 {
          #expect(!isAccepted(forged(batch, at: offset, to: value)), "\(value)")
        } else {
          let value = UInt32(truncatingIfNeeded: value)
          let unchanged = batch.withUnsafeBytes { $0.littleEndian(at: offset) == value }
          #expect(unchanged || !isAccepted(forged(batch, at: offset, to: value)), "\(value)")
        }
      }
    }
  }

  @Test func randomDamageNeverTraps() throws {
    let batch = try sampleBatch()
    let seed: UInt64 = 20_261_125
    let random = SeededRandom(seed: seed)
    for _ in 0..<20_000 {
      var damaged = batch
      for _ in 0...random.next(below: 4) {
        damaged[Int(random.next(below: UInt64(batch.count)))] = UInt8(random.next() & 0xFF)
      }
      #expect(damaged == batch || !isAccepted(damaged), "seed \(seed)")
    }
  }

  @Test func offsetsNeverWrap() throws {
    var batch = try sampleBatch()
    batch.withUnsafeMutableBytes {
      try? BatchHeader.stamp(.init(partitionID: 3, baseOffset: .max, baseTimestamp: 77), in: $0)
    }
    #expect(!isAccepted(batch))
  }
}
