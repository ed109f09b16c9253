import Base
import Events
import HTTP

/// Records of a topic on their way to one client, a line each, at the client's pace.
final class RecordStream: OpenStream {
  /// Bytes the client has not taken above which reading rests.
  static let queuedBytesMax = 256 << 10

  private let exchange: Exchange
  private let context: GatewayContext
  private var tail: (any TailHandle)?
  private var hasBegun = false

  init(exchange: Exchange, context: GatewayContext) {
    self.exchange = exchange
    self.context = context
  }

  func begin(_ request: TailRequest) {
    if exchange.isHeadOnly {
      beginAnswer()
      return exchange.end()
    }
    // Owned by the exchange from here on, until its answer is over.
    exchange.onClientGone = { _ in self.close() }
    exchange.onDrained = { [weak self] in self?.tail?.resume() }
    context.opened(self)
    // Who follows may wait for the first record, but not for the head of the answer.
    if request.follows { beginAnswer() }
    tail = context.services.bus.tail(
      request, TailEvents(onLines: { self.write($0) }, onEnd: { self.ended($0) }))
  }

  func cut() {
    close()
    exchange.abort()
  }

  private func write(_ lines: [UInt8]) {
    beginAnswer()
    guard exchange.write(lines) else { return }
    if exchange.queuedBytes > Self.queuedBytesMax { tail?.pause() }
  }

  private func ended(_ problem: Problem?) {
    close()
    guard let problem else {
      beginAnswer()
      return exchange.end()
    }
    if hasBegun { exchange.abort() } else { exchange.refuse(problem) }
  }

  private func beginAnswer() {
    guard !hasBegun else { return }
    hasBegun = true
    exchange.begin(type: MediaTypes.jsonLines)
  }

  private func close() {
    tail?.cancel()
    tail = nil
    context.closed(self)
  }
}
