import Base
import Glibc
import HTTP
import UringIO

/// Starts turns when they are meant to start, and waits for their ends.
final class LoadRun {
  /// Turns under way at once, each with a connection: a process has so many descriptors at least.
  /// What is due beyond that is not sent, and the report says so.
  private static let underWayMax = 900

  private let client: NodeClient
  private let plan: LoadPlan
  private var report = LoadReport()
  private var underWay: [Int: TurnEvents] = [:]
  private var next = 0
  private var began = Nanoseconds.zero
  private var isStopping = false

  init(client: NodeClient, plan: LoadPlan) {
    self.client = client
    self.plan = plan
    report.planned = plan.turns
  }

  private var loop: EventLoop { client.loop }
  private var elapsed: Nanoseconds { loop.clock.monotonic() - began }

  func run(_ progress: @escaping (String) -> Void) throws(CommandFailure) -> LoadReport {
    do throws(IOFailure) {
      try loop.signals([SIGINT, SIGTERM]) { _ in self.interrupted() }
    } catch {
      throw CommandFailure(.failed, "no signals can be received: \(error)")
    }
    began = loop.clock.monotonic()
    startDue()
    tick(progress)
    loop.run()
    report.elapsed = elapsed
    report.unfinished = underWay.count
    for turn in underWay.values { turn.cancel() }
    return report
  }

  // MARK: Starting

  /// Open loop: what is due is started, whatever became of the turns before.
  private func startDue() {
    while !isStopping, next < plan.turns {
      let left = plan.start(of: next) - elapsed
      guard left <= .zero else {
        loop.schedule(after: left) { self.startDue() }
        return
      }
      start(next)
      next += 1
    }
    noMoreStarts()
  }

  private func start(_ index: Int) {
    guard underWay.count < Self.underWayMax else {
      report.failures["not_sent", default: 0] += 1
      return
    }
    report.started += 1
    report.startLate.record(microseconds: sinceIntendedStart(index))
    var hasText = false
    var request = NodeRequest(path: "/v1/turns")
    request.method = .post
    request.accept = "text/event-stream"
    request.body = plan.body(of: index)
    request.total = NodeRequest.streamTotal
    let turn = TurnEvents(
      onEvent: { event in
        if event.name == "delta", !hasText {
          hasText = true
          self.report.firstText.record(microseconds: self.sinceIntendedStart(index))
        } else if let end = TurnEnd(event: event.name, data: event.data) {
          self.ended(index, end)
        }
      }, onEnd: { self.ended(index, $0) })
    underWay[index] = turn
    turn.start(request, client)
  }

  private func noMoreStarts() {
    guard !underWay.isEmpty else { return loop.stop() }
    loop.schedule(after: plan.patience) { self.loop.stop() }
  }

  private func sinceIntendedStart(_ index: Int) -> Int64 {
    (elapsed - plan.start(of: index)).microseconds
  }

  // MARK: Ends

  private func ended(_ index: Int, _ end: TurnEnd) {
    guard let turn = underWay.removeValue(forKey: index) else { return }
    turn.cancel()
    if end.exitCode == .ok {
      report.completed += 1
      report.whole.record(microseconds: sinceIntendedStart(index))
    } else {
      report.failures[end.data["error"]?["code"]?.string ?? end.event, default: 0] += 1
    }
    account(end.data["receipt"])
    checkIfOver()
  }

  private func ended(_ index: Int, _ end: TurnEvents.End) {
    guard underWay.removeValue(forKey: index) != nil else { return }
    let name: String
    switch end {
    case .refused(let reply): name = reply.json?["code"]?.string ?? "status_\(reply.status)"
    case .unreadable: name = "unreadable"
    case .streamEnded(.unreachable(_)?), .streamEnded(.nameUnknown(_)?):
      name = "unreachable"
      report.unreachable += 1
    case .streamEnded: name = "connection_cut"
    }
    report.failures[name, default: 0] += 1
    checkIfOver()
  }

  private func account(_ receipt: JSON?) {
    guard let receipt else { return }
    report.tokensIn += receipt["tokens_in"]?.int ?? 0
    report.tokensOut += receipt["tokens_out"]?.int ?? 0
    guard let cost = receipt["cost_micros"]?.int else { return }
    report.costMicros = (report.costMicros ?? 0) + cost
    if let spent = report.costMicros, spent > plan.spendMax, !isStopping {
      report.isOverSpent = true
      stopStarting()
    }
  }

  private func checkIfOver() {
    if underWay.isEmpty, isStopping || next == plan.turns { loop.stop() }
  }

  private func interrupted() {
    guard !report.isInterrupted else { return loop.stop() }
    report.isInterrupted = true
    stopStarting()
    loop.stop()
  }

  private func stopStarting() {
    isStopping = true
    if underWay.isEmpty { loop.stop() }
  }

  // MARK: Progress

  private func tick(_ progress: @escaping (String) -> Void) {
    progress("\(report.started) of \(plan.turns) started, \(report.completed) completed")
    loop.schedule(after: .seconds(1)) { self.tick(progress) }
  }
}
