// Contract: after a million operations of every kind, cancelled and closed at random, none is in
// flight, no block of memory is held and no descriptor is open. `KFM_SOAK_OPERATIONS` sets another
// number (10000000 for a long run).
import Base
import Glibc
import TestSupport
import Testing
import UringIO

@Suite struct SoakTests {
  #if DEBUG
    private static let usual = 30_000
  #else
    private static let usual = 1_000_000
  #endif

  private static let operations =
    getenv("KFM_SOAK_OPERATIONS").flatMap { Int(String(cString: $0)) } ?? usual

  @Test(arguments: IOKind.allCases)
  func nothingIsLeftAfterManyOperations(io: IOKind) throws {
    let seed = testSeed()
    try LoopHarness.run(io) { harness in
      let loop = harness.loop
      let blocks = loop.blocks.held
      let inFlight = loop.operationsInFlight
      let load = try SoakLoad(loop, seed: seed)
      let start = loop.statistics.completions.value
      // Never asleep: there is not always something on its way.
      while loop.statistics.completions.value - start < Self.operations {
        load.step()
        loop.runOnce()
      }
      load.end()
      #expect(
        harness.until { loop.operationsInFlight == inFlight && loop.blocks.held == blocks },
        "seed \(seed)")
      #expect(loop.operationsInFlight == inFlight)
      #expect(loop.blocks.held == blocks)
      #expect(loop.statistics.staleCompletions.value == 0)
      #expect(load.failures == [])
    }
  }
}

/// Keeps a loop busy with everything it can do.
private final class SoakLoad {
  private let loop: EventLoop
  private var random: SplitMix64
  private var pairs: [SocketPair?]
  private let file: File
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4_096, alignment: 8)
  private let listener: Listener
  private var polls: [PollRegistration] = []
  private var filesInFlight = 0
  private(set) var failures: [String] = []

  init(_ loop: EventLoop, seed: UInt64) throws {
    self.loop = loop
    random = SplitMix64(seed: seed)
    pairs = Array(repeating: nil, count: 64)
    let path = "/tmp/kfm-soak-\(UInt64.random(in: 0 ... .max))"
    file = try loop.openFile(path: path, flags: O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
    unlink(path)
    listener = try loop.listen(on: .ipv4(host: "127.0.0.1", port: 0)) { $0.close() }
  }

  deinit { buffer.deallocate() }

  /// A few things at random, before each turn of the loop.
  func step() {
    for _ in 0..<32 { act(Int.random(in: 0..<64, using: &random)) }
  }

  func end() {
    for pair in pairs { pair?.close() }
    pairs = []
    for poll in polls { poll.cancel() }
    listener.close()
    file.close()
  }

  private func act(_ choice: Int) {
    let index = Int.random(in: 0..<pairs.count, using: &random)
    switch choice {
    case 0: replace(index)
    case 1: connect()
    case 2: useFile(writes: Bool.random(using: &random))
    case 3: pairs[index]?.socket.pauseReceiving()
    case 4..<8: pairs[index]?.socket.resumeReceiving()
    case 8: poll(pairs[index])
    case 9..<20: send(pairs[index])
    default: put(pairs[index])
    }
  }

  private func replace(_ index: Int) {
    pairs[index]?.close()
    guard let pair = try? SocketPair(loop) else { return failures.append("no socket pair") }
    pairs[index] = pair
    let socket = pair.socket
    socket.onReceive = { [unowned socket] in socket.send($0) }
    socket.onEnd = { [unowned socket] _ in socket.close() }
    socket.startReceiving()
  }

  private func connect() {
    let attempt = loop.connect(to: listener.address, timeout: .seconds(1)) { result in
      if case .success(let socket) = result { socket.closeAfterSending() }
    }
    if Bool.random(using: &random) { attempt.cancel() }
  }

  private func useFile(writes: Bool) {
    guard filesInFlight < 32 else { return }
    filesInFlight += 1
    let offset = UInt64.random(in: 0..<65_536, using: &random)
    if writes {
      file.write(at: offset, [UInt8](repeating: 3, count: 512)) { [self] result in
        filesInFlight -= 1
        if case .failure(let failure) = result { failures.append("\(failure)") }
      }
    } else {
      file.read(at: offset, into: buffer) { [self] result in
        filesInFlight -= 1
        if case .failure(let failure) = result { failures.append("\(failure)") }
      }
    }
  }

  private func poll(_ pair: SocketPair?) {
    if polls.count > 8 { polls.removeFirst().cancel() }
    guard let pair else { return }
    polls.append(loop.poll(descriptor: pair.socket.descriptor, events: .readable) { _ in })
  }

  private func send(_ pair: SocketPair?) {
    guard let pair, pair.socket.queuedBytes < 1 << 20 else { return }
    pair.socket.send([UInt8](repeating: 5, count: Int.random(in: 1...9_000, using: &random)))
    pair.drop()
  }

  private func put(_ pair: SocketPair?) {
    guard let pair else { return }
    pair.offer(Int.random(in: 1...5_000, using: &random))
    pair.drop()
  }
}
