import Base
import Configuration
import Events
import MemoryService
import PersonalityPacks
import UringIO
import VectorIndex

/// Opens the packs' indexes on side threads, so that a node listens before it has built them.
final class KnowledgeLoader {
  let memory: MemoryOperations
  private let library: KnowledgeLibrary
  private let loop: EventLoop
  private let sideThreads: SideThreads
  private let logger: Logger
  /// Questions that had been asked when recall was last looked at.
  private var probedAt = 0

  init(
    _ configuration: NodeConfiguration, _ loop: EventLoop, _ sideThreads: SideThreads,
    _ logger: Logger
  ) {
    self.loop = loop
    self.sideThreads = sideThreads
    self.logger = logger
    memory = MemoryOperations(
      searchMode: SearchMode(rawValue: configuration.memory.search) ?? .hybrid,
      clock: loop.clock, enqueue: { [loop] in loop.enqueue($0) })
    let source =
      EmbedderSource(
        setting: configuration.memory.embedder, modelDirectories: configuration.modelDirectories)
      ?? EmbedderSource(choice: .automatic, modelDirectories: configuration.modelDirectories)
    library = KnowledgeLibrary(
      directory: configuration.memory.indexDirectory, embedder: source)
  }

  /// Between two looks at what the indexes find.
  private static let probeInterval = Nanoseconds.seconds(30)

  /// Compares a few of the questions that were asked with exact search, on a side thread, now and
  /// again for as long as the node runs.
  func watchRecall() {
    _ = loop.schedule(after: Self.probeInterval) { [weak self] in
      guard let self else { return }
      // A node that nobody asks does not work for itself.
      let asked = memory.metrics.retrievals.value
      guard asked != probedAt else { return watchRecall() }
      probedAt = asked
      let probes = memory.probes
      do throws(SideThreads.QueueFull) {
        try sideThreads.run({ for probe in probes { _ = try? probe.run() } }, on: loop) {
          [weak self] in self?.watchRecall()
        }
      } catch {
        // The threads have other work: later.
        watchRecall()
      }
    }
  }

  /// Opens the index of every pack that has knowledge; questions wait for theirs.
  func open(_ packs: PackRegistry) {
    for pack in packs.personalities {
      guard let settings = pack.knowledge, memory.expect(packDigest: pack.digest) else {
        continue
      }
      open(pack, settings, packs.documents(id: pack.id))
    }
  }

  private func open(
    _ pack: Personality, _ settings: Personality.KnowledgeSettings,
    _ documents: [Personality.Document]
  ) {
    let digest = pack.digest
    let source = KnowledgeSource(
      packDigest: digest, chunkTokens: settings.chunkTokens, documents: { documents })
    let startedAt = loop.clock.monotonic()
    do throws(SideThreads.QueueFull) {
      try sideThreads.run(
        { [library] in
          do throws(MemoryError) {
            return Result<KnowledgeIndex, MemoryError>.success(try library.open(source))
          } catch {
            return .failure(error)
          }
        }, on: loop
      ) { [self] result in
        report(result, pack.id, loop.clock.monotonic() - startedAt)
        memory.install(result, packDigest: digest)
      }
    } catch {
      logger.error(
        "knowledge not opened", ["pack": .string(pack.id), "reason": .string("\(error)")])
    }
  }

  private func report(
    _ result: Result<KnowledgeIndex, MemoryError>, _ pack: String, _ took: Nanoseconds
  ) {
    switch result {
    case .success(let index):
      logger.info(
        "knowledge open",
        [
          "pack": .string(pack), "index": .string("\(index.origin)"),
          "chunks": .int(Int64(index.chunks.count)), "ms": .int(took.milliseconds),
        ])
    case .failure(let error):
      logger.error(
        "knowledge not open", ["pack": .string(pack), "reason": .string("\(error)")])
    }
  }
}

extension NodeConfiguration {
  /// Where models are looked for, best first: each `local` provider's, then the defaults.
  var modelDirectories: [String] {
    var directories = providers.filter { $0.kind == "local" }.map(\.modelDirectory)
    for directory in [".models", node.dataDirectory + "/models"]
    where !directories.contains(directory) {
      directories.append(directory)
    }
    return directories
  }
}
