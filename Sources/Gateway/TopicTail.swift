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
  }

  private let bus: any MessageBus
  private let request: TailRequest
  private let line: RecordLine
  private var events: TailEvents?
  private var lanes: [Lane]
  /// Lanes that have records, as a heap: the one with the earliest stands first. A topic may have
  /// thousands of partitions.
  private var filled: [Int] = []
  /// How many lanes are being read.
  private var pollsUnderWay = 0
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
    filled = []
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
    pollsUnderWay += 1
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
    pollsUnderWay -= 1
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
      filled.append(index)
      raise(filled.count - 1)
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
    // While one is being read it may be what has the earliest.
    while !isPaused, remaining > 0, pollsUnderWay == 0, let index = filled.first {
      let record = lanes[index].records.removeFirst()
      line.append(record, of: lanes[index].target, to: &chunk)
      remaining -= 1
      if lanes[index].records.isEmpty {
        filled[0] = filled[filled.count - 1]
        filled.removeLast()
        if remaining > 0 { refill(index) }
      }
      sink()
      if chunk.count >= Self.chunkBytes {
        events?.onLines(chunk)
        chunk = []
      }
    }
    if !chunk.isEmpty { events?.onLines(chunk) }
    let isAtEnd = !request.follows && pollsUnderWay == 0 && filled.isEmpty
    let isDone = remaining == 0 || isAtEnd
    if events != nil, isDone { finish(nil) }
  }

  /// Whether one lane's first record goes before another's; of two at the same time, the one of the
  /// lower partition.
  private func precedes(_ one: Int, _ other: Int) -> Bool {
    (lanes[one].records.first!.appendTime, one) < (lanes[other].records.first!.appendTime, other)
  }

  /// Moves the lane at `place` of the heap to the front as far as it belongs.
  private func raise(_ place: Int) {
    var place = place
    while place > 0, precedes(filled[place], filled[(place - 1) / 2]) {
      filled.swapAt(place, (place - 1) / 2)
      place = (place - 1) / 2
    }
  }

  /// Moves the lane in front back as far as it belongs.
  private func sink() {
    var place = 0
    while true {
      var least = place
      for child in 2 * place + 1..<min(2 * place + 3, max(filled.count, 2 * place + 1))
      where precedes(filled[child], filled[least]) { least = child }
      if least == place { return }
      filled.swapAt(place, least)
      place = least
    }
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
