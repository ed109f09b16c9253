import Base
import Events
import Glibc
import Iggy
import LogBroker

/// Producers that append to one bus, each with so many batches under way.
final class AppendRun {
  private struct Producer {
    var nextSequence: UInt64
    var batchesLeft: Int
    var batch = 0
  }

  private let bus: EmbeddedBus
  private let clock: any Clock
  private let plan: AppendPlan
  private let acks: EventLines?
  private var producers: [Producer] = []
  /// Producers that may go on once there is room again.
  private var waiting: [Int] = []
  private var waitingHead = 0
  private var underWay = 0
  private var isStopping = false
  private var isOver = false
  private var latency = LatencyHistogram()
  private var acknowledged = 0
  private(set) var failure: BusError?
  /// Called once, when nothing is under way any more.
  private let completion: () -> Void

  /// - Parameter sequences: where each producer goes on.
  init(
    _ bus: EmbeddedBus, _ clock: any Clock, _ plan: AppendPlan, sequences: [UInt64],
    acks: EventLines?, completion: @escaping () -> Void
  ) {
    self.bus = bus
    self.clock = clock
    self.plan = plan
    self.acks = acks
    self.completion = completion
    for index in 0..<plan.producers {
      producers.append(
        Producer(nextSequence: sequences[index], batchesLeft: plan.batches(of: index)))
    }
  }

  func start() {
    for _ in 0..<plan.inFlight { waiting += Array(producers.indices) }
    advance()
  }

  /// Nothing new is begun.
  func stop() {
    isStopping = true
    endIfIdle()
  }

  private func endIfIdle() {
    guard underWay == 0, !isOver else { return }
    isOver = true
    completion()
  }

  func report(into report: inout AppendReport) {
    report.latency = latency
    report.batches = acknowledged
  }

  private func advance() {
    while !isStopping, waitingHead < waiting.count,
      underWay == 0 || (underWay + 1) * plan.batchBytes <= AppendPlan.bytesInFlightMax
    {
      let index = waiting[waitingHead]
      waitingHead += 1
      if producers[index].batchesLeft > 0 { append(index) }
    }
    if waitingHead > 4_096 {
      waiting.removeFirst(waitingHead)
      waitingHead = 0
    }
    endIfIdle()
  }

  private func append(_ index: Int) {
    let sequence = producers[index].nextSequence
    let target = TopicPartition(
      .bench, plan.partition(producer: index, batch: producers[index].batch))
    producers[index].nextSequence += UInt64(plan.messagesPerBatch)
    producers[index].batchesLeft -= 1
    producers[index].batch += 1
    underWay += 1
    let batch = makeBatch(UInt64(index), from: sequence)
    let began = clock.monotonic()
    bus.publish(batch, to: target) { [self] result in
      underWay -= 1
      switch result {
      case .success(let first):
        latency.record(microseconds: (clock.monotonic() - began).microseconds)
        acknowledge(index, sequence, target, first)
      case .failure(let error):
        failure = failure ?? error
        isStopping = true
      }
      advance()
    }
  }

  /// Makes the messages where they are written from.
  private func makeBatch(_ producer: UInt64, from sequence: UInt64) -> OutgoingBatch {
    let length = MessageHeader.length + plan.messageBytes
    let batch = bus.makeBatch(bytesMax: length * plan.messagesPerBatch)
    for number in 0..<UInt64(plan.messagesPerBatch) {
      let message = BenchMessage(producer: producer, sequence: sequence + number)
      do {
        try batch.add(id: message.id.value, payloadBytes: plan.messageBytes) {
          message.write(to: $0, seed: plan.seed)
        }
      } catch {
        preconditionFailure("the plan makes messages the log cannot take: \(error)")
      }
    }
    return batch
  }

  private func acknowledge(
    _ index: Int, _ sequence: UInt64, _ target: TopicPartition, _ offset: UInt64
  ) {
    acknowledged += 1
    waiting.append(index)
    acks?.write { line in
      line.member("topic", target.topic.name)
      line.member("partition", target.partition)
      line.member("offset", offset)
      line.member("count", plan.messagesPerBatch)
      line.member("producer", index)
      line.member("seq", sequence)
    }
  }
}
