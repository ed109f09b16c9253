import Glibc
import Synchronization

/// Work done for a long call, as a share of the whole in 0…1. Called on the working thread.
public typealias ProgressHandler = @Sendable (Double) -> Void

extension VectorIndex {
  /// Builds an index of `rows`, `dimension` components each one after the other, row i under
  /// `ids[i]`, on `threads` threads of its own. The same input gives the same index whatever the
  /// number of threads.
  /// - Throws: what `add` throws, `.countMismatch`, or `.cancelled` when the task is cancelled.
  public static func build(
    rows: [Float], ids: [UInt64], options: Options, threads: Int = 1,
    progress: ProgressHandler? = nil
  ) async throws(VectorIndexError) -> VectorIndex {
    let index = try VectorIndex(options: options)
    try await LongWork.run { (cancellation) throws(VectorIndexError) in
      try index.add(
        rows: rows.span, ids: ids.span, threads: threads,
        control: WorkControl(cancellation: cancellation, progress: progress))
    }
    return index
  }

  /// Builds the graph anew from the rows that are left and gives back the memory of the others.
  /// - Throws: `.cancelled`; the index is as it was then.
  public func compact(threads: Int, progress: ProgressHandler? = nil)
    async throws(VectorIndexError)
  {
    try await LongWork.run { (cancellation) throws(VectorIndexError) in
      try self.compact(
        threads: threads,
        control: WorkControl(cancellation: cancellation, progress: progress))
    }
  }

  /// Writes the index to `path` as `save(to:)` does, on a thread of its own.
  /// - Throws: `.file`, or `.cancelled`; the old file is untouched then.
  public func save(to path: String, progress: ProgressHandler?) async throws(VectorIndexError) {
    try await LongWork.run { (cancellation) throws(VectorIndexError) in
      try self.save(
        to: path, control: WorkControl(cancellation: cancellation, progress: progress))
    }
  }
}

/// What long work asks on its way: whether to stop, and where to report.
struct WorkControl: Sendable {
  var cancellation: Cancellation?
  var progress: ProgressHandler?

  static let none = WorkControl(cancellation: nil, progress: nil)

  /// - Throws: `.cancelled`.
  func step(_ done: Int, of all: Int) throws(VectorIndexError) {
    if let cancellation, cancellation.isRequested { throw .cancelled }
    progress?(all == 0 ? 1 : Double(done) / Double(all))
  }
}

/// A request to stop, seen by the work at its next step.
final class Cancellation: Sendable {
  private let flag = Atomic<Bool>(false)

  var isRequested: Bool { flag.load(ordering: .relaxed) }
  func request() { flag.store(true, ordering: .relaxed) }
}

/// Runs blocking work on a thread made for it, so that no thread of Swift's pool is held.
enum LongWork {
  typealias Body = @Sendable (Cancellation) throws(VectorIndexError) -> Void

  static func run(_ body: @escaping Body) async throws(VectorIndexError) {
    let cancellation = Cancellation()
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { (continuation: CheckedContinuation<Outcome, Never>) in
        NativeThread.start {
          do throws(VectorIndexError) {
            try body(cancellation)
            continuation.resume(returning: .success(()))
          } catch { continuation.resume(returning: .failure(error)) }
        }
      }
    } onCancel: {
      cancellation.request()
    }
    try result.get()
  }

  private typealias Outcome = Result<Void, VectorIndexError>
}
