import Base

/// Streams of ended turns, for clients that re-attach soon; bounded in bytes, oldest out first.
struct StreamCache {
  private let bytesMax: Int
  private var streams: [ULID: TurnStream] = [:]
  private var order: [ULID] = []
  private var bytes = 0

  init(bytesMax: Int) { self.bytesMax = bytesMax }

  subscript(turnID: ULID) -> TurnStream? { streams[turnID] }

  mutating func insert(_ stream: TurnStream, for turnID: ULID) {
    guard streams[turnID] == nil, stream.bytes <= bytesMax else { return }
    streams[turnID] = stream
    order.append(turnID)
    bytes += stream.bytes
    var removed = 0
    while bytes > bytesMax {
      bytes -= streams.removeValue(forKey: order[removed])?.bytes ?? 0
      removed += 1
    }
    order.removeFirst(removed)
  }
}
