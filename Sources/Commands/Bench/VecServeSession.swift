import Base
import Glibc
import VectorIndex

/// What `kfm bench vec-serve` knows between two lines, and what it does with one. The protocol is
/// in docs/surface.md.
struct VecServeSession {
  private struct Opened {
    var data: VectorDataset
    /// One after the other.
    var queries: [Float]
  }

  private var opened: Opened?
  private var benched: BenchedIndex?

  private(set) var isOver = false

  /// Of an index that is built without naming one.
  let storage: VectorIndex.Storage

  init(storage: VectorIndex.Storage = .standard) { self.storage = storage }

  /// Limits of what a line may ask for.
  private enum Limit {
    static let k = 1...65_536
    static let ef = 1...1_048_576
    static let rows = 0...VectorIndex.rowsMax
    /// A typing error must not start a million.
    static let threads = 1...256
  }

  mutating func answer(_ line: [UInt8]) -> JSON {
    do {
      let request = try VecServeRequest(line)
      return .object(try perform(request))
    } catch {
      return ["error": .string("\(error)")]
    }
  }

  private mutating func perform(_ request: VecServeRequest) throws -> JSONObject {
    switch request.operation {
    case "hello": return Self.hello
    case "open": return try open(request)
    case "build": return try build(request)
    case "search": return try search(request)
    case "filter": return try filter(request)
    case "add": return try add(request)
    case "mixed": return try mixed(request)
    case "probe": return try probe(request)
    case "delete": return try delete(request)
    case "save": return try save(request)
    case "load": return try load(request)
    case "simd": return ["simd": .string(VectorIndex.instructionSet)]
    case "quit":
      isOver = true
      return ["ok": true]
    default: throw VecServeError("op '\(request.operation)' is not one of this driver")
    }
  }

  private static let hello: JSONObject = [
    "lib": "kfm", "efs": nil,
    "can": ["filter": true, "delete": true, "add": true, "mmap": true, "save": true],
  ]

  // MARK: Data

  private mutating func open(_ request: VecServeRequest) throws -> JSONObject {
    let data = try VectorDataset(directory: request.path("data"))
    let queries = try data.queries.floats(0..<data.queries.count)
    opened = Opened(data: data, queries: queries)
    // Other rows or queries for the same index are welcome; vectors of another kind are not.
    if let options = benched?.index.options,
      options.dimension != data.dimension || options.metric != data.metric
    {
      benched = nil
    }
    return [
      "n": .int(Int64(data.base.count)), "d": .int(Int64(data.dimension)),
      "nq": .int(Int64(data.queries.count)),
    ]
  }

  private func data() throws(VecServeError) -> Opened {
    guard let opened else { throw VecServeError("no data set is open; send open first") }
    return opened
  }

  private func index() throws(VecServeError) -> BenchedIndex {
    guard let benched else { throw VecServeError("there is no index; send build or load first") }
    return benched
  }

  // MARK: Building and changing

  private mutating func build(_ request: VecServeRequest) throws -> JSONObject {
    let data = try data().data
    let rows = try request.integer("n", in: Limit.rows, default: data.base.count)
    let m = try request.integer("m", in: VectorIndex.mRange, default: 16)
    let efConstruction = try request.integer(
      "efc", in: VectorIndex.efConstructionRange, default: 200)
    let storage = try request.choice(
      "storage", of: VectorIndex.Storage.names, default: storage.commandLineName)
    let threads = try request.integer("threads", in: Limit.threads, default: 1)
    guard rows <= data.base.count else {
      throw VecServeError("n: the data set has \(data.base.count) rows")
    }
    benched = nil
    let before = ProcessUsage.residentBytes()
    let watch = StopWatch()
    let made = try BenchedIndex(
      building: data.base, rows: rows,
      options: .init(
        dimension: data.dimension, metric: data.metric, m: m, efConstruction: efConstruction,
        storage: VectorIndex.Storage(commandLine: storage) ?? .standard),
      threads: threads)
    let seconds = (watch.wallSeconds, watch.cpuSeconds)
    benched = made
    return [
      "build_s": .double(seconds.0), "cpu_s": .double(seconds.1),
      "rss_delta": .int(Int64(ProcessUsage.residentBytes() - before)),
    ]
  }

  private func add(_ request: VecServeRequest) throws -> JSONObject {
    let (data, index) = (try data().data, try index())
    let threads = try request.integer("threads", in: Limit.threads, default: 1)
    let ids: [Int32]
    if let path = try request.optionalPath("ids") {
      ids = try Self.ids(at: path)
    } else {
      let from = try request.integer("from", in: Limit.rows)
      let to = try request.integer("to", in: Limit.rows)
      guard from <= to, to <= data.base.count else {
        throw VecServeError("from, to: expected a range within \(data.base.count) rows")
      }
      ids = (from..<to).map { Int32($0) }
    }
    guard ids.allSatisfy({ $0 >= 0 && Int($0) < data.base.count }) else {
      throw VecServeError("ids: the data set has \(data.base.count) rows")
    }
    let watch = StopWatch()
    let added = try index.add(data.base, ids: ids, threads: threads)
    return [
      "wall_s": .double(watch.wallSeconds), "cpu_s": .double(watch.cpuSeconds),
      "n": .int(Int64(added)), "count": .int(Int64(index.count)),
    ]
  }

  private func delete(_ request: VecServeRequest) throws -> JSONObject {
    let index = try index()
    let ids = try Self.ids(at: request.path("ids"))
    let watch = StopWatch()
    let removed = index.remove(ids)
    return [
      "wall_s": .double(watch.wallSeconds), "cpu_s": .double(watch.cpuSeconds),
      "n": .int(Int64(removed)), "count": .int(Int64(index.count)),
    ]
  }

  /// Searches beside additions: how much one disturbs the other.
  private func mixed(_ request: VecServeRequest) throws -> JSONObject {
    let (opened, index) = (try data(), try index())
    let from = try request.integer("from", in: Limit.rows)
    let to = try request.integer("to", in: Limit.rows)
    guard from < to, to <= opened.data.base.count else {
      throw VecServeError("from, to: expected a range within \(opened.data.base.count) rows")
    }
    let run = MixedRun(
      index: index.index, data: opened.data.base, rows: from..<to, queries: opened.queries,
      k: try request.integer("k", in: Limit.k, default: 10),
      ef: try request.integer("ef", in: Limit.ef, default: 64),
      isSearched: try request.integer("readers", in: 0...1, default: 1) == 1)
    let result = try run.run()
    func percentile(_ sorted: [Int64], _ share: Double) -> JSON {
      guard !sorted.isEmpty else { return .null }
      return .double(Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]) / 1e3)
    }
    return [
      "n": .int(Int64(to - from)), "p50_idle_us": percentile(result.idle, 0.5),
      "p99_idle_us": percentile(result.idle, 0.99), "p50_us": percentile(result.busy, 0.5),
      "p99_us": percentile(result.busy, 0.99), "p50_add_us": percentile(result.additions, 0.5),
      "longest_add_us": percentile(result.additions, 1),
      "longest_add_cpu_us": .double(Double(result.longest.mostCPU) / 1e3),
      "longest_add_ran_us": .double(Double(result.longest.cpu) / 1e3),
      "longest_add_preempted_us": .double(Double(result.longest.preempted) / 1e3),
    ]
  }

  private static func ids(at path: String) throws(VecServeError) -> [Int32] {
    guard let bytes = BinaryFile.read(path), bytes.count % 4 == 0 else {
      throw VecServeError("\(path): expected a file of little-endian int32")
    }
    return bytes.withUnsafeBytes { raw in
      (0..<raw.count / 4).map { raw.loadUnaligned(fromByteOffset: $0 * 4, as: Int32.self) }
    }
  }

  // MARK: Searching

  private func run(_ request: VecServeRequest) throws -> QueryRun {
    let (data, index) = (try data(), try index())
    let all = data.data.queries.count
    let wanted = min(all, try request.integer("nq", in: Limit.rows, default: all))
    let k = try request.integer("k", in: Limit.k, default: 10)
    let ef = try request.integer("ef", in: Limit.ef, default: 64)
    guard data.data.dimension == index.index.options.dimension else {
      throw VecServeError("the index holds vectors of another dimension than the data set")
    }
    return QueryRun(index: index.index, queries: data.queries, count: wanted, k: k, ef: ef)
  }

  private func search(_ request: VecServeRequest) throws -> JSONObject {
    let run = try run(request)
    let mode = try request.choice("mode", of: ["batch", "single"], default: "batch")
    let threads = try request.integer("threads", in: Limit.threads, default: 1)
    let result = mode == "single" ? try run.single() : try run.batch(threads: threads)
    return try report(result, run, request)
  }

  private func filter(_ request: VecServeRequest) throws -> JSONObject {
    let run = try run(request)
    let path = try request.path("allow")
    guard let allow = BinaryFile.read(path), !allow.isEmpty else {
      throw VecServeError("\(path): expected one byte a row")
    }
    return try report(run.single(allow: allow), run, request)
  }

  /// What the library's own probe says about the recall of searches with `ef`.
  private func probe(_ request: VecServeRequest) throws -> JSONObject {
    let run = try run(request)
    let probe = RecallProbe(
      run.index,
      options: .init(
        k: run.k, ef: run.ef, sampleEvery: 1, sampleMax: run.count, runMax: run.count))
    let dimension = run.index.options.dimension
    for query in 0..<run.count {
      probe.observe(Array(run.queries[query * dimension..<(query + 1) * dimension]))
    }
    let compared = try probe.run()
    return [
      "recall": .double(probe.report.recall), "drift": .double(probe.report.drift),
      "nq": .int(Int64(compared)),
    ]
  }

  private func report(
    _ result: QueryRun.Result, _ run: QueryRun, _ request: VecServeRequest
  ) throws -> JSONObject {
    if let path = try request.optionalPath("ids_out") { try Self.write(result.ids, to: path) }
    if let path = try request.optionalPath("dist_out") {
      try Self.write(result.distances, to: path)
    }
    var answer: JSONObject = [
      "wall_s": .double(result.wallSeconds), "cpu_s": .double(result.cpuSeconds),
      "nq": .int(Int64(run.count)),
    ]
    if !result.latencies.isEmpty {
      answer["p50_us"] = .double(result.latency(0.5))
      answer["p99_us"] = .double(result.latency(0.99))
    }
    return answer
  }

  private static func write(_ elements: [some BitwiseCopyable], to path: String)
    throws(VecServeError)
  {
    guard BinaryFile.write(elements, to: path) else {
      throw VecServeError("\(path): \(SystemError.text(errno))")
    }
  }

  // MARK: Files

  private func save(_ request: VecServeRequest) throws -> JSONObject {
    let index = try index()
    let path = try request.path("path")
    let watch = StopWatch()
    try index.index.save(to: path)
    let wall = watch.wallSeconds
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw VecServeError("\(path): \(SystemError.text(errno))")
    }
    return ["wall_s": .double(wall), "bytes": .int(Int64(status.st_size))]
  }

  private mutating func load(_ request: VecServeRequest) throws -> JSONObject {
    let path = try request.path("path")
    let isMapped = try request.flag("mmap", default: false)
    benched = nil
    let before = ProcessUsage.residentBytes()
    let watch = StopWatch()
    let loaded = try BenchedIndex(loading: path, mapped: isMapped)
    let wall = watch.wallSeconds
    benched = loaded
    return [
      "wall_s": .double(wall),
      "rss_delta": .int(Int64(ProcessUsage.residentBytes() - before)),
    ]
  }
}
