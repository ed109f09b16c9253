// Contract: what comes out of the queue is what went in, in order, and a chunk in the kernel's
// hands neither moves nor changes until it has been passed.
import Testing
import UringIO

@Suite struct SendQueueTests {
  @Test(arguments: 0..<10)
  func randomAppendsAndAdvances(round: Int) {
    let seed = UInt64.random(in: 1 ... .max)
    var random = SplitMix64(seed: seed)
    var queue = SendQueue()
    var model: [UInt8] = []
    var inFlight: (pointer: UnsafeRawBufferPointer, copy: [UInt8])?
    for _ in 0..<300 {
      switch Int.random(in: 0..<4, using: &random) {
      case 0, 1:
        // Rarely large, so that chunks fill up, overflow and are adopted whole.
        let sizes = [1, 10, 500, 20_000, SendQueue.joinedBytesMax, 100_000]
        let count = Int.random(in: 1...sizes.randomElement(using: &random)!, using: &random)
        let piece = [UInt8](repeating: UInt8.random(in: 0...255, using: &random), count: count)
        if Bool.random(using: &random) {
          queue.append(piece, frontInFlight: inFlight != nil)
        } else {
          piece.withUnsafeBytes { queue.append(copying: $0, frontInFlight: inFlight != nil) }
        }
        model += piece
      case 2:
        guard inFlight == nil, let front = queue.front() else { continue }
        inFlight = (front, Array(front))
      default:
        guard let (pointer, copy) = inFlight else { continue }
        #expect(queue.front()?.baseAddress == pointer.baseAddress, "seed \(seed)")
        #expect(Array(pointer) == copy, "seed \(seed)")
        let count = Int.random(in: 1...copy.count, using: &random)
        #expect(copy[..<count] == model[..<count], "seed \(seed)")
        queue.advance(count)
        model.removeFirst(count)
        inFlight = nil
      }
      #expect(queue.bytes == model.count)
      #expect(queue.isEmpty == model.isEmpty)
    }
  }

  @Test func droppingKeepsOnlyWhatIsInFlight() {
    var queue = SendQueue()
    queue.append([1, 2, 3], frontInFlight: false)
    queue.advance(1)
    queue.append([4, 5], frontInFlight: true)
    queue.drop(keepingFront: true)
    #expect(queue.bytes == 2)
    #expect(queue.front().map(Array.init) == [2, 3])
    queue.drop(keepingFront: false)
    #expect(queue.isEmpty)
    #expect(queue.front() == nil)
  }
}
