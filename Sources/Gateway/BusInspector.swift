package import Base
package import Events

/// A row of `kfm topics list` (SURFACE).
package struct TopicRow: Sendable {
  package var topic: Topic
  package var partitions: Int
  package var messages: Int
  package var bytes: Int
  package var retention: Nanoseconds
  package var durability: String

  package var json: JSON {
    [
      "stream": .string(topic.stream), "topic": .string(topic.name),
      "partitions": .int(Int64(partitions)), "messages": .int(Int64(messages)),
      "bytes": .int(Int64(bytes)),
      "retention": .string(retention == .zero ? "0d" : retention.durationText),
      "durability": .string(durability),
    ]
  }
}

/// A row of `kfm lag` (SURFACE): how far a consumer group is behind a partition's end.
package struct LagRow: Sendable {
  package var group: String
  package var target: TopicPartition
  package var messages: Int
  /// Age of the oldest record that is not consumed; 0 when there is none.
  package var age: Nanoseconds

  package init(group: String, target: TopicPartition, messages: Int, age: Nanoseconds) {
    self.group = group
    self.target = target
    self.messages = messages
    self.age = age
  }

  package var json: JSON {
    [
      "group": .string(group), "topic": .string(target.topic.name),
      "partition": .int(Int64(target.partition)), "lag_messages": .int(Int64(messages)),
      "lag_seconds": .double(age.seconds),
    ]
  }
}

/// What a reader of a topic wants to see.
package struct TailRequest: Sendable, Hashable {
  package enum Start: Sendable, Hashable {
    case first
    /// The last record of each partition.
    case last
    /// That offset of each partition.
    case offset(UInt64)
  }

  package var topic: Topic
  package var start: Start
  /// Records in all; nil for no limit.
  package var countMax: Int?
  /// Whether to go on with what is appended later.
  package var follows: Bool

  package init(topic: Topic, start: Start = .first, countMax: Int? = nil, follows: Bool = false) {
    self.topic = topic
    self.start = start
    self.countMax = countMax
    self.follows = follows
  }
}

/// What a tail tells its reader, on the loop. Nothing comes after `onEnd` or a cancel.
package struct TailEvents {
  /// Whole lines of JSON, each with its newline.
  package var onLines: ([UInt8]) -> Void
  /// Nil: the end was reached.
  package var onEnd: (Problem?) -> Void

  package init(onLines: @escaping ([UInt8]) -> Void, onEnd: @escaping (Problem?) -> Void) {
    self.onLines = onLines
    self.onEnd = onEnd
  }
}

/// A tail that runs. Pausing it is how a reader that does not keep up bounds what waits for it.
package protocol TailHandle: Cancellable {
  func pause()
  func resume()
}

/// The bus as people look at it: `kfm topics` and `kfm lag`, through the node that holds it.
package protocol BusInspector: AnyObject {
  func topics() -> [TopicRow]
  /// Events come later, never from inside the call.
  func tail(_ request: TailRequest, _ events: TailEvents) -> any TailHandle
  /// `completion` may run inside the call.
  func lag(completion: @escaping (Result<[LagRow], Problem>) -> Void)
}
