import Base
import Events

/// Reads all partitions of a topic and merges them by append time, holding one poll's worth of
/// records a partition. Follows the topic's growth when asked to; else it ends where the topic
/// ended when the tail began.
final class TopicTail: TailHandle {
  /// Records and bytes of one poll of one partition: bounds what a tail holds to about 1 MiB.
  static let pollRecordsMax = 128
  static let pollBytesMax = 64 << 10
  /// Lines are handed on in pieces of about this many bytes.
  static let chunkBytes = 64 << 10

  private struct Lane {
    let target: TopicPartition
    var start: PollStart
    /// Everything below is wanted when the tail does not follow.
    let end: UInt64
    var records: ArraySlice<PolledRecord> = []
    var isPolling = false
    /// Nothing more to read for now, or for ever when the tail does not follow.
    var isAtEnd = false
    /// The partition grew while it was being read.
    var hasGrown = false
    var watch: (any Cancellable)?

    var isExhausted: Bool { isAtEnd && !isPolling && records.isEmpty }
  }

  private let bus: any MessageBus
  private let request: TailRequest
  private let line: RecordLine
  private var events: TailEvents?
  private var lanes: [Lane]
  private var remaining: Int
  private var isPaused = false

  init(
    bus: any MessageBus, request: TailRequest, decodeHeaders: @escaping HeaderDecoder,
    events: TailEvents
  ) {
    self.bus = bus
    self.request = request
    self.events = events
    line = RecordLine(decodeHeaders: decodeHeaders)
    remaining = request.countMax ?? .max
    let start: PollStart =
      switch request.start {
      case .first: .first
      case .last: .last
      case .offset(let offset): .offset(offset)
      }
    lanes = (0..<bus.partitionCount(of: request.topic)).map { partition in
      let target = TopicPartition(request.topic, partition)
      return Lane(target: target, start: start, end: bus.endOffset(of: target))
    }
  }

  func begin() {
    if request.follows {
      for index in lanes.indices {
        lanes[index].watch = bus.watch(lanes[index].target) { [weak self] in self?.grown(index) }
      }
    }
    for index in lanes.indices { poll(index) }
  }

  func cancel() {
    events = nil
    for lane in lanes { lane.watch?.cancel() }
    lanes = []
  }

  func pause() { isPaused = true }

  func resume() {
    guard isPaused else { return }
    isPaused = false
    merge()
  }

  private func grown(_ index: Int) {
    guard events != nil else { return }
    lanes[index].hasGrown = true
    if lanes[index].isAtEnd { poll(index) }
  }

  private func poll(_ index: Int) {
    let lane = lanes[index]
    lanes[index].isPolling = true
    lanes[index].isAtEnd = false
    lanes[index].hasGrown = false
    let count = lane.start == .last ? 1 : min(Self.pollRecordsMax, remaining)
    bus.poll(
      PollRequest(
        lane.target, from: lane.start, countMax: count, bytesMax: Self.pollBytesMax)
    ) { result in
      self.polled(index, result)
    }
  }

  private func polled(_ index: Int, _ result: Result<PollResult, BusError>) {
    guard events != nil else { return }
    lanes[index].isPolling = false
    switch result {
    case .failure(.belowStart(let first)):
      lanes[index].start = .offset(first)
      poll(index)
    case .failure(let error): finish(error.problem)
    case .success(let result):
      take(result, index)
      merge()
    }
  }

  private func take(_ result: PollResult, _ index: Int) {
    var records = result.records[...]
    if !request.follows {
      let end = lanes[index].end
      records = records.prefix { $0.offset < end }
    }
    lanes[index].records = records
    if let last = records.last {
      lanes[index].start = .offset(last.offset + 1)
    } else {
      lanes[index].isAtEnd = true
      // `last` found nothing: everything that comes is wanted.
      if lanes[index].start == .last { lanes[index].start = .offset(result.endOffset) }
      if lanes[index].hasGrown { poll(index) }
    }
  }

  /// Hands on records in the order of their append times, as long as every partition that may
  /// still have an earlier one is known.
  private func merge() {
    var chunk: [UInt8] = []
    while !isPaused, remaining > 0, let index = next() {
      let record = lanes[index].records.removeFirst()
      line.append(record, of: lanes[index].target, to: &chunk)
      remaining -= 1
      if lanes[index].records.isEmpty, remaining > 0 { refill(index) }
      if chunk.count >= Self.chunkBytes {
        events?.onLines(chunk)
        chunk = []
      }
    }
    if !chunk.isEmpty { events?.onLines(chunk) }
    let isDone = remaining == 0 || (!request.follows && lanes.allSatisfy(\.isExhausted))
    if events != nil, isDone { finish(nil) }
  }

  /// The partition with the earliest record; nil while one is being read, or when all are empty.
  private func next() -> Int? {
    var best: Int?
    for (index, lane) in lanes.enumerated() {
      if lane.isPolling { return nil }
      guard let record = lane.records.first else { continue }
      if let found = best, lanes[found].records.first!.appendTime <= record.appendTime { continue }
      best = index
    }
    return best
  }

  private func refill(_ index: Int) {
    if !request.follows, case .offset(let next) = lanes[index].start, next >= lanes[index].end {
      lanes[index].isAtEnd = true
    } else {
      poll(index)
    }
  }

  private func finish(_ problem: Problem?) {
    let events = events
    cancel()
    events?.onEnd(problem)
  }
}
