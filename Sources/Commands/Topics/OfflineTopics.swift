import Base
import Events
import Gateway
import Iggy
import LogBroker

/// The data directory as `--offline` shows it: the rows and lines that a node would give.
struct OfflineTopics {
  private let bus: OfflineBus
  private let inspector: MessageBusInspector

  /// - Parameter directory: instead of the configured one.
  init(
    _ context: CommandContext, config: String?, directory: String?
  ) throws(CommandFailure) {
    let key = try NodeTarget.logKey(context, config, isConfigured: directory == nil)
    let directory =
      if let directory {
        Path.absolute(directory, in: context.workingDirectory)
      } else {
        try NodeTarget.dataDirectory(context, config)
      }
    do throws(LogBrokerError) {
      bus = OfflineBus(
        try OfflineLog(
          storage: DiskStorage(root: directory), dataDirectory: directory, key: key))
    } catch {
      throw CommandFailure(
        ExitCode(rawValue: error.exitCode) ?? .failed, "\(error.description)")
    }
    inspector = MessageBusInspector(
      bus: bus, clock: context.clock,
      options: BusInspectorOptions(decodeHeaders: { UserHeaders($0).texts }))
  }

  func topics() -> [JSON] { inspector.topics().map(\.json) }

  /// Hands whole lines to `take`, in pieces.
  func tail(
    _ request: TailRequest, _ take: @escaping ([UInt8]) -> Void
  ) throws(CommandFailure) {
    var problem: Problem?
    let handle = inspector.tail(request, TailEvents(onLines: take, onEnd: { problem = $0 }))
    bus.run()
    handle.cancel()
    if let problem { throw CommandFailure(.dataDamaged, problem.detail) }
  }
}

/// A log that is only read, as a bus: what is asked is answered when `run` comes to it.
private final class OfflineBus: MessageBus {
  private let log: OfflineLog
  private var waiting: [() -> Void] = []

  init(_ log: OfflineLog) { self.log = log }

  var partitionCount: Int { log.partitionCount(of: .turnsRequests) }

  func partitionCount(of topic: Topic) -> Int { log.partitionCount(of: topic) }
  func endOffset(of target: TopicPartition) -> UInt64 { log.endOffset(of: target) }
  func status() -> [TopicStatus] { log.status() }

  func storedOffset(group: String, of target: TopicPartition) -> UInt64? {
    log.storedOffset(group: group, of: target)
  }

  /// Answers everything, also what answers ask for.
  func run() {
    while !waiting.isEmpty {
      let bodies = waiting
      waiting = []
      for body in bodies { body() }
    }
  }

  func poll(
    _ request: PollRequest, completion: @escaping (Result<PollResult, BusError>) -> Void
  ) {
    waiting.append { [log] in
      do throws(BusError) {
        completion(.success(try log.poll(request)))
      } catch {
        completion(.failure(error))
      }
    }
  }

  func append(
    _ batches: [PartitionBatch], completion: @escaping (Result<[UInt64], BusError>) -> Void
  ) {
    waiting.append { completion(.failure(Self.readOnly)) }
  }

  func storeOffset(
    _ offset: UInt64, group: String, of target: TopicPartition,
    completion: @escaping (Result<Void, BusError>) -> Void
  ) {
    waiting.append { completion(.failure(Self.readOnly)) }
  }

  /// Nothing is added to what is read here.
  func watch(_ target: TopicPartition, _ body: @escaping () -> Void) -> any Cancellable {
    NoWatch()
  }

  private static let readOnly = BusError.unavailable("the data directory is open for reading only")

  private final class NoWatch: Cancellable {
    func cancel() {}
  }
}
