// Contract: what comes out of the queue is what went in, in order; bytes in the kernel's hands
// neither move nor change until they have been passed; every block goes back to the pool once.
import Glibc
import TestSupport
import Testing
import UringIO

@Suite struct SendQueueTests {
  @Test(arguments: 0..<10)
  func randomAppendsAndAdvances(round: Int) {
    let seed = testSeed() &+ UInt64(round)
    var random = SplitMix64(seed: seed)
    let blocks = LoopBlocks(largeBytes: 8_192, sparesMax: 4)
    var model: [UInt8] = []
    do {
      var queue = SendQueue(blocks: blocks)
      var inFlight: [(pieces: [UnsafeRawBufferPointer], copy: [UInt8])] = []
      for _ in 0..<300 {
        switch Int.random(in: 0..<4, using: &random) {
        case 0, 1:
          // Rarely large, so that blocks fill up, overflow, and arrays are taken over whole.
          let sizes = [1, 10, 500, LoopBlocks.smallBytes, SendQueue.adoptedBytesMin, 20_000]
          let count = Int.random(in: 1...sizes.randomElement(using: &random)!, using: &random)
          let piece = (0..<count).map { UInt8(truncatingIfNeeded: $0 &+ model.count) }
          if Bool.random(using: &random) {
            queue.append(piece)
          } else {
            piece.withUnsafeBytes { queue.append(copying: $0) }
          }
          model += piece
        case 2:
          guard inFlight.isEmpty, let front = queue.front else { continue }
          let pieces = Bool.random(using: &random) ? [front] : gather(queue)
          #expect(pieces.first?.baseAddress == front.baseAddress)
          inFlight = [(pieces, pieces.flatMap(Array.init))]
        default:
          guard let (pieces, copy) = inFlight.popLast() else { continue }
          #expect(pieces.flatMap(Array.init) == copy, "seed \(seed)")
          let count = Int.random(in: 1...copy.count, using: &random)
          #expect(copy[..<count] == model[..<count], "seed \(seed)")
          queue.advance(count)
          model.removeFirst(count)
        }
        let (bytes, isEmpty) = (queue.bytes, queue.isEmpty)
        #expect(bytes == model.count)
        #expect(isEmpty == model.isEmpty)
      }
    }
    #expect(blocks.held == 0)
  }

  @Test func droppingKeepsOnlyWhatIsInFlight() {
    let blocks = LoopBlocks(largeBytes: 8_192, sparesMax: 4)
    var queue = SendQueue(blocks: blocks)
    queue.append([1, 2, 3])
    queue.advance(1)
    queue.append([UInt8](repeating: 4, count: SendQueue.adoptedBytesMin))
    queue.drop(keeping: 1)
    let left = queue.front.map(Array.init)
    #expect(left == [2, 3])
    queue.drop(keeping: 0)
    let (bytes, front) = (queue.bytes, queue.front)
    #expect(bytes == 0)
    #expect(front == nil)
    #expect(blocks.held == 0)
  }

  @Test func aFewBytesDoNotTakeALargeBlock() {
    let blocks = LoopBlocks(largeBytes: 1 << 20, sparesMax: 4)
    var queue = SendQueue(blocks: blocks)
    queue.append([1])
    queue.append([2])
    let count = queue.count
    #expect(count == 1)
    #expect(blocks.heldBytes == LoopBlocks.smallBytes)
  }

  private func gather(_ queue: borrowing SendQueue) -> [UnsafeRawBufferPointer] {
    let list = UnsafeMutableBufferPointer<iovec>.allocate(capacity: 5)
    defer { list.deallocate() }
    let count = queue.gather(into: list)
    let expected = min(5, queue.count)
    #expect(count == expected)
    return list[..<count].map { UnsafeRawBufferPointer(start: $0.iov_base, count: $0.iov_len) }
  }
}
