import Base
import COpenSSL
import Events
import Iggy

/// Enciphers batches at rest: AES-256-GCM, each batch under a nonce of its own. In memory they stand
/// as on disk; whoever reads one gets it deciphered elsewhere. A batch keeps its length, its 256
/// bytes of header have the room:
///
/// | at | bytes | |
/// |---:|---:|---|
/// | 0 | 40 | partition, offset, times, length: as they are, authenticated |
/// | 40 | 8 | the batch's checksum, enciphered |
/// | 48 | 4 | count of messages: as it is, authenticated |
/// | 52 | 12 | nonce |
/// | 64 | 16 | tag |
/// | 256 | | messages, enciphered |
///
/// Topic, partition and key are authenticated with it: a batch can be moved neither to another place
/// in its partition nor to another partition.
final class BatchCipher {
  /// Why a batch cannot be read.
  enum Problem: Error, Hashable, CustomStringConvertible {
    case noKey(UInt32)
    case otherKey(needed: UInt32, given: UInt32)
    case notAuthentic

    var description: String {
      switch self {
      case .noKey(let id):
        "the batch is encrypted with key \(LogKey.name(id)); give that key (bus.encryption_key)"
      case .otherKey(let needed, let given):
        "the batch is encrypted with key \(LogKey.name(needed)), and key \(LogKey.name(given)) was "
          + "given; give the right one (bus.encryption_key)"
      case .notAuthentic: "the encrypted batch is not what was written"
      }
    }
  }

  private enum Field {
    static let checksum = 40..<48
    static let count = 48..<52
    static let nonce = 52..<64
    static let tag = 64..<80
  }

  let id: UInt32
  private let aead: OpaquePointer
  /// Of nonces: chosen at random for each process and for 2³² batches, which are counted behind it.
  private var prefix: UInt64 = 0
  private var next: UInt32 = 0

  init(_ key: LogKey) {
    id = key.id
    guard let aead = kfm_aead_new(key.bytes) else {
      preconditionFailure("libcrypto has no AES-256-GCM")
    }
    self.aead = aead
    choosePrefix()
  }

  deinit { kfm_aead_free(aead) }

  private func choosePrefix() {
    let isChosen = withUnsafeMutableBytes(of: &prefix) { kfm_aead_random($0.baseAddress, $0.count) }
    precondition(isChosen == 1, "the system gives no random bytes")
  }

  private func writeNonce(to target: UnsafeMutableRawBufferPointer) {
    target.storeLittleEndian(prefix, at: 0)
    target.storeLittleEndian(next, at: 8)
    next &+= 1
    if next == 0 { choosePrefix() }
  }

  /// Enciphers a stamped batch where it stands.
  func seal(_ batch: UnsafeMutableRawBufferPointer, _ header: FrameHeader) {
    let readable = UnsafeRawBufferPointer(batch)
    let nonce = batch.slice(Field.nonce)
    writeNonce(to: nonce)
    var isDone = kfm_aead_begin(aead, 1, nonce.address) == 1 && cover(readable, header)
    for range in [Field.checksum, BatchHeader.length..<batch.count] {
      let part = batch.slice(range)
      isDone = isDone && kfm_aead_update(aead, part.baseAddress, part.count, part.baseAddress) == 1
    }
    isDone = isDone && kfm_aead_seal(aead, batch.slice(Field.tag).address) == 1
    precondition(isDone, "libcrypto does not encipher")
  }

  /// The batch as it was before `seal`.
  func open(
    _ batch: UnsafeRawBufferPointer, _ header: FrameHeader
  ) throws(Problem) -> SharedBytes {
    guard header.key == id else { throw .otherKey(needed: header.key, given: id) }
    guard batch.count >= BatchHeader.length else { throw .notAuthentic }
    let plain = UnsafeMutableRawBufferPointer.allocate(byteCount: batch.count, alignment: 16)
    let shared = SharedBytes(UnsafeRawBufferPointer(plain)) { _ in plain.deallocate() }
    plain.copy(batch.slice(0..<BatchHeader.length), to: 0)
    plain.slice(Field.nonce.lowerBound..<Field.tag.upperBound)
      .initializeMemory(as: UInt8.self, repeating: 0)
    var isDone =
      kfm_aead_begin(aead, 0, batch.slice(Field.nonce).address) == 1 && cover(batch, header)
    for range in [Field.checksum, BatchHeader.length..<batch.count] {
      let part = batch.slice(range)
      isDone =
        isDone
        && kfm_aead_update(aead, part.baseAddress, part.count, plain.slice(range).baseAddress) == 1
    }
    guard isDone, kfm_aead_open(aead, batch.slice(Field.tag).address) == 1 else {
      throw .notAuthentic
    }
    return shared
  }

  /// What is not enciphered, and where the batch belongs.
  private func cover(_ batch: UnsafeRawBufferPointer, _ header: FrameHeader) -> Bool {
    withUnsafeTemporaryAllocation(byteCount: 12, alignment: 4) { place in
      place.storeLittleEndian(id, at: 0)
      place.storeLittleEndian(header.topic, at: 4)
      place.storeLittleEndian(header.kind.rawValue, at: 6)
      place.storeLittleEndian(header.partition, at: 8)
      return kfm_aead_cover(aead, place.baseAddress, place.count) == 1
        && kfm_aead_cover(aead, batch.baseAddress, Field.checksum.lowerBound) == 1
        && kfm_aead_cover(aead, batch.slice(Field.count).baseAddress, Field.count.count) == 1
    }
  }

  /// The header of a batch that may be enciphered, without a look at the rest.
  static func header(of batch: UnsafeRawBufferPointer, key: UInt32) -> BatchHeader? {
    if key == 0 { return try? BatchHeader(batch) }
    guard batch.count >= BatchHeader.length else { return nil }
    return withUnsafeTemporaryAllocation(byteCount: BatchHeader.length, alignment: 8) { copy in
      copy.copy(batch.slice(0..<BatchHeader.length), to: 0)
      copy.slice(Field.nonce.lowerBound..<Field.tag.upperBound)
        .initializeMemory(as: UInt8.self, repeating: 0)
      return try? BatchHeader(UnsafeRawBufferPointer(copy))
    }
  }
}

extension PartitionLog {
  /// The batch of a frame of this partition where it is enciphered, deciphered; nil where it stands
  /// in the clear. `frame` is whole, and its header was checked.
  func deciphered(_ frame: UnsafeRawBufferPointer) throws(BatchCipher.Problem) -> SharedBytes? {
    guard let header = FrameHeader(frame), header.key != 0 else { return nil }
    guard let cipher else { throw .noKey(header.key) }
    return try cipher.open(frame.slice(FrameHeader.length..<frame.count), header)
  }

  /// Where the batch of a frame can be read.
  func batch(
    _ storage: SharedBytes, frame: Range<Int>
  ) throws(BatchCipher.Problem) -> (SharedBytes, Range<Int>) {
    guard FrameHeader.isEnciphered(storage.bytes.slice(frame)),
      let plain = try deciphered(storage.bytes.slice(frame))
    else { return (storage, frame.lowerBound + FrameHeader.length..<frame.upperBound) }
    return (plain, 0..<plain.bytes.count)
  }
}

extension UnsafeRawBufferPointer {
  fileprivate var address: UnsafePointer<UInt8> {
    baseAddress!.assumingMemoryBound(to: UInt8.self)
  }
}

extension UnsafeMutableRawBufferPointer {
  fileprivate var address: UnsafeMutablePointer<UInt8> {
    baseAddress!.assumingMemoryBound(to: UInt8.self)
  }
}
