/// Bytes on their way to one socket, in chunks. The chunk in front may be in the kernel's hands:
/// it is neither changed nor released until `advance` has passed it.
package struct SendQueue {
  package private(set) var bytes = 0
  private var chunks: ContiguousArray<[UInt8]> = []
  private var head = 0
  private var headOffset = 0

  /// Small pieces are joined up to this many bytes, so that they leave with one send; above it
  /// the copy costs more than the system call it saves.
  package static let joinedBytesMax = 65_536

  package init() {}

  package var isEmpty: Bool { bytes == 0 }

  /// `frontInFlight`: the kernel reads the front chunk now.
  package mutating func append(_ piece: [UInt8], frontInFlight: Bool) {
    bytes += piece.count
    if let last = joinable(piece.count, frontInFlight) {
      chunks[last].append(contentsOf: piece)
    } else {
      chunks.append(piece)
    }
  }

  package mutating func append(copying piece: UnsafeRawBufferPointer, frontInFlight: Bool) {
    bytes += piece.count
    if let last = joinable(piece.count, frontInFlight) {
      chunks[last].append(contentsOf: piece)
    } else {
      chunks.append([UInt8](piece))
    }
  }

  /// What to send next. The pointer is good as long as the queue holds the chunk: nobody else
  /// writes to the array, and the storage of an array does not move.
  package func front() -> UnsafeRawBufferPointer? {
    guard head < chunks.count else { return nil }
    return chunks[head].withUnsafeBytes { UnsafeRawBufferPointer(rebasing: $0[headOffset...]) }
  }

  /// The kernel has taken `count` bytes of the front chunk.
  package mutating func advance(_ count: Int) {
    bytes -= count
    headOffset += count
    guard headOffset == chunks[head].count else { return }
    chunks[head] = []
    head += 1
    headOffset = 0
    if head == chunks.count {
      chunks.removeAll(keepingCapacity: head <= 16)
      head = 0
    }
  }

  /// Drops everything, except the front chunk while the kernel reads it.
  package mutating func drop(keepingFront: Bool) {
    let front = keepingFront ? chunks[head] : []
    chunks = keepingFront ? [front] : []
    head = 0
    if !keepingFront { headOffset = 0 }
    bytes = front.count - (keepingFront ? headOffset : 0)
  }

  private func joinable(_ count: Int, _ frontInFlight: Bool) -> Int? {
    let last = chunks.count - 1
    guard last > head || (last == head && !frontInFlight),
      chunks[last].count + count <= Self.joinedBytesMax
    else { return nil }
    return last
  }
}
