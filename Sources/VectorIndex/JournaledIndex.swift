import Glibc
import Synchronization

/// A `VectorIndex` that keeps every change: its file, and a journal of what came since beside it
/// (`PATH.journal`). A change that was returned survives the end of the process; after `flush`, that
/// of the machine.
///
/// ```swift
/// let store = try JournaledIndex(opening: "/var/lib/app/vectors", options: options)
/// try store.add(embedding, id: 7)
/// try store.flush()
/// let nearest = try store.index.search(query, k: 10)
/// ```
///
/// One process at a time has a file open so; searches go to `index`, from any thread. Changes go
/// through the store: those made on `index` itself are lost with the process.
public final class JournaledIndex: Sendable {
  public let index: VectorIndex
  public let path: String
  /// What opening found.
  public let recovery: Recovery

  public struct Recovery: Sendable, Hashable {
    /// Changes taken from the journal.
    public var replayed = 0
    /// Bytes of a change that a crash cut short, which had not been returned.
    public var tornBytes = 0

    public init(replayed: Int = 0, tornBytes: Int = 0) {
      self.replayed = replayed
      self.tornBytes = tornBytes
    }
  }

  private struct Writer: ~Copyable {
    var journal: IndexJournal
  }

  private let writer: Mutex<Writer>

  /// Opens what is at `path`, or makes it.
  /// - Parameters:
  ///   - options: of a new index; one that exists must have the same dimension and metric.
  ///   - attributes: of a new index; whether those of one that exists fit is the caller's to decide
  ///     (`index.attributes`).
  /// - Throws: `.file`: damage, another dimension or metric, or a failed system call.
  public convenience init(
    opening path: String, options: VectorIndex.Options,
    attributes: IndexAttributes = IndexAttributes()
  ) throws(VectorIndexError) {
    try self.init(unscoped: path, options: options, attributes: attributes)
    guard !index.attributes.isTenanted else { throw .file(.tenanted) }
  }

  /// The same, whether or not the rows are those of tenants.
  init(
    unscoped path: String, options: VectorIndex.Options, attributes: IndexAttributes
  ) throws(VectorIndexError) {
    let journalPath = Self.journalPath(path)
    let index: VectorIndex
    if access(path, F_OK) == 0 {
      index = try VectorIndex.loadUnscoped(from: path)
      guard index.options.dimension == options.dimension, index.options.metric == options.metric
      else { throw .file(.inconsistent("an index of another dimension or metric")) }
    } else {
      guard access(journalPath, F_OK) != 0 else {
        throw .file(.inconsistent("a journal without its index"))
      }
      index = try VectorIndex(options: options, attributes: attributes)
      try index.save(to: path)
    }
    var recovery = Recovery()
    let saved = index.savedSequence
    if access(journalPath, F_OK) == 0 {
      let opened = try IndexJournal.open(
        journalPath, dimension: options.dimension, after: saved
      ) { (change) throws(VectorIndexError) in
        recovery.replayed += 1
        switch change {
        case .upsert(let id, let vector): try index.upsert(vector, id: id)
        case .remove(let id): index.remove(id: id)
        }
      }
      recovery.tornBytes = opened.tornBytes
      writer = Mutex(Writer(journal: opened))
    } else {
      let made = try IndexJournal.create(
        journalPath, dimension: options.dimension, after: saved)
      writer = Mutex(Writer(journal: made))
    }
    self.index = index
    self.path = path
    self.recovery = recovery
  }

  static func journalPath(_ path: String) -> String { path + ".journal" }

  /// - Throws: what `VectorIndex.add` throws, or `.file`; nothing has changed then.
  public func add(_ vector: [Float], id: UInt64) throws(VectorIndexError) {
    try writer.withLock { (writer) throws(VectorIndexError) in
      guard index.vector(for: id) == nil else { throw .duplicateID(id) }
      try upsert(vector, id: id, &writer)
    }
  }

  /// - Throws: what `VectorIndex.upsert` throws, or `.file`; nothing has changed then.
  public func upsert(_ vector: [Float], id: UInt64) throws(VectorIndexError) {
    try writer.withLock { (writer) throws(VectorIndexError) in
      try upsert(vector, id: id, &writer)
    }
  }

  /// Into the journal first: what cannot be written there was never in the index.
  private func upsert(_ vector: [Float], id: UInt64, _ writer: inout Writer)
    throws(VectorIndexError)
  {
    _ = try PreparedVector(
      vector, dimension: index.options.dimension, metric: index.options.metric)
    do throws(IndexFileError) {
      try writer.journal.append(.upsert(id: id, vector: vector))
    } catch { throw .file(error) }
    do throws(VectorIndexError) { try index.upsert(vector, id: id) } catch {
      writer.journal.retractLast()
      throw error
    }
  }

  /// Whether the id was there.
  /// - Throws: `.file`; nothing has changed then.
  @discardableResult
  public func remove(id: UInt64) throws(VectorIndexError) -> Bool {
    try writer.withLock { (writer) throws(VectorIndexError) in
      guard index.vector(for: id) != nil else { return false }
      do throws(IndexFileError) { try writer.journal.append(.remove(id: id)) } catch {
        throw .file(error)
      }
      return index.remove(id: id)
    }
  }

  /// Returns when every change that was returned before is on the disk.
  public func flush() throws(VectorIndexError) {
    try writer.withLock { (writer) throws(VectorIndexError) in
      do throws(IndexFileError) { try writer.journal.flush() } catch { throw .file(error) }
    }
  }

  /// Saves the index and begins an empty journal. Changes wait; a crash at any moment loses none.
  public func checkpoint() throws(VectorIndexError) {
    try writer.withLock { (writer) throws(VectorIndexError) in
      let sequence = writer.journal.sequence
      try index.save(to: path, sequence: sequence)
      writer.journal = try IndexJournal.create(
        Self.journalPath(path), dimension: index.options.dimension, after: sequence)
    }
  }
}
