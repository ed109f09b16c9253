package import Base

/// What `kfm bench append` measured. A MB is 10⁶ bytes, a GB 10⁹, of payload.
package struct AppendReport {
  package var plan = AppendPlan()
  package var durability = "persisted"
  package var io = ""
  package var batches = 0
  package var elapsed = Nanoseconds.zero
  /// Of the process, user and system, while appending.
  package var cpu = Nanoseconds.zero
  package var syncs = 0
  package var latency = LatencyHistogram()
  package var isInterrupted = false
  /// Of the process, at the end.
  package var residentBytes = 0

  package init() {}

  private var bytes: Double { Double(batches) * Double(plan.batchBytes) }
  private func perSecond(_ value: Double) -> Double {
    elapsed > .zero ? value / elapsed.seconds : 0
  }

  private var cpuPerGB: Double { bytes > 0 ? cpu.seconds / (bytes / 1e9) : 0 }

  package var json: JSON {
    [
      "batches": .int(Int64(batches)),
      "messages": .int(Int64(batches * plan.messagesPerBatch)),
      "bytes": .int(Int64(batches * plan.batchBytes)), "seconds": .double(elapsed.seconds),
      "batches_per_s": .double(perSecond(Double(batches))),
      "mb_per_s": .double(perSecond(bytes / 1e6)), "cpu_s_per_gb": .double(cpuPerGB),
      "ack_p50_us": .int(Int64(latency.quantile(0.5))),
      "ack_p99_us": .int(Int64(latency.quantile(0.99))),
      "ack_p999_us": .int(Int64(latency.quantile(0.999))),
      "rss_bytes": .int(Int64(residentBytes)), "fdatasyncs": .int(Int64(syncs)),
      "durability": .string(durability), "io": .string(io),
      "producers": .int(Int64(plan.producers)), "partitions": .int(Int64(plan.partitions)),
      "inflight": .int(Int64(plan.inFlight)), "batch_bytes": .int(Int64(plan.batchBytes)),
      "message_bytes": .int(Int64(plan.messageBytes)), "seed": .int(Int64(clamping: plan.seed)),
    ]
  }

  func write(to output: OutputWriter) {
    output.line(
      "\(batches) batches of \(plan.messagesPerBatch) × \(plan.messageBytes) B in "
        + "\(Quantity.fixed(elapsed.seconds, places: 2)) s (\(durability), io \(io))")
    var table = TextTable([.init("FIGURE"), .init("VALUE", .right)])
    table.add(["batches/s", Quantity.fixed(perSecond(Double(batches)), places: 1)])
    table.add(["MB/s", Quantity.fixed(perSecond(bytes / 1e6), places: 1)])
    table.add(["CPU s per GB", Quantity.fixed(cpuPerGB, places: 3)])
    table.add(["ack p50", Quantity.time(microseconds: Int64(latency.quantile(0.5)))])
    table.add(["ack p99", Quantity.time(microseconds: Int64(latency.quantile(0.99)))])
    table.add(["fdatasyncs", "\(syncs)"])
    table.write(to: output)
  }
}
