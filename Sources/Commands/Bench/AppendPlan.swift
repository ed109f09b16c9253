/// What `kfm bench append` appends.
package struct AppendPlan {
  /// Of each message: producer and sequence stand at its beginning.
  package static let messageBytesMin = 16
  /// Bytes under way at once; what is due beyond that waits its turn, so that the log's own limit
  /// on what waits for the disk refuses nothing.
  static let bytesInFlightMax = 48 << 20

  package var messageBytes = 1_024
  package var messagesPerBatch = 64
  /// In all, shared out evenly; the first producers get what is left over.
  package var batches = 1_000
  package var producers = 1
  package var partitions = 1
  /// Batches that each producer has under way at once.
  package var inFlight = 1
  package var seed: UInt64 = 1

  package init() {}

  /// Payload bytes of one batch.
  package var batchBytes: Int { messageBytes * messagesPerBatch }

  /// How many batches `producer` appends.
  package func batches(of producer: Int) -> Int {
    batches / producers + (producer < batches % producers ? 1 : 0)
  }

  /// Every producer goes round all partitions, each from another one on and as far from the others as
  /// can be: all partitions are written to all the time.
  package func partition(producer: Int, batch: Int) -> Int {
    (producer * partitions / producers + batch) % partitions
  }
}
