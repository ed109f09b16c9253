package import Base
import Iggy

/// A message of topic `bench`: the producer and its sequence number (u64, little-endian), then
/// words `h + i · 0x9E3779B97F4A7C15` (i from 0, u64, little-endian, the last one cut off), where
/// `h = mix(mix(mix(seed) ^ producer) ^ sequence)` and `mix` is SplitMix64's finalizer. Whoever
/// reads it back can tell every byte.
package struct BenchMessage: Hashable {
  package var producer: UInt64
  package var sequence: UInt64

  package init(producer: UInt64, sequence: UInt64) {
    self.producer = producer
    self.sequence = sequence
  }

  /// Reads the two numbers; nil for what is too short to be one.
  package init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= AppendPlan.messageBytesMin else { return nil }
    producer = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
    sequence = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
  }

  /// Fills `bytes`, of which there are at least 16.
  package func write(to bytes: UnsafeMutableRawBufferPointer, seed: UInt64) {
    bytes.storeBytes(of: producer.littleEndian, toByteOffset: 0, as: UInt64.self)
    bytes.storeBytes(of: sequence.littleEndian, toByteOffset: 8, as: UInt64.self)
    var word = Self.mix(Self.mix(Self.mix(seed) ^ producer) ^ sequence)
    var at = 16
    // Eight words at a time: producers should cost the log's benchmark little.
    var words = SIMD8<UInt64>(repeating: word) &+ Self.steps
    while at + 64 <= bytes.count {
      bytes.storeBytes(of: words, toByteOffset: at, as: SIMD8<UInt64>.self)
      words &+= SIMD8(repeating: Self.step &* 8)
      at += 64
    }
    word = words[0]
    while at + 8 <= bytes.count {
      bytes.storeBytes(of: word.littleEndian, toByteOffset: at, as: UInt64.self)
      word &+= Self.step
      at += 8
    }
    while at < bytes.count {
      bytes[at] = UInt8(truncatingIfNeeded: word)
      word >>= 8
      at += 1
    }
  }

  /// The whole message, `count` bytes long.
  package func bytes(count: Int, seed: UInt64) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      write(to: UnsafeMutableRawBufferPointer(buffer), seed: seed)
      initialized = count
    }
  }

  /// Of the message on the bus: never 0, no two alike.
  package var id: ULID { ULID(value: UInt128(producer + 1) << 64 | UInt128(sequence)) }

  private static let step: UInt64 = 0x9E37_79B9_7F4A_7C15
  private static let steps = SIMD8<UInt64>(0, 1, 2, 3, 4, 5, 6, 7) &* SIMD8(repeating: step)

  private static func mix(_ value: UInt64) -> UInt64 {
    var value = value
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }
}
