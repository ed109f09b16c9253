// Contract: an index built from each kind of file answers what brute force answers, says of itself
// what it was made with, is found damaged with exit code 10, and shrinks when it is compacted;
// `bench vec` and `bench rag` print a row for every setting.
// Not shown here: figures.
import Base
import Commands
import Glibc
import Testing

@Suite struct IndexCommandTests {
  private let set: DatasetFolder

  init() throws {
    set = try DatasetFolder(metric: "l2", type: "float32", rows: 300, dimension: 8)
    // The same rows in the other layouts.
    let rows = try set.float32("base.bin")
    try set.write([UInt32(300), 8], "head")
    try set.write(try set.raw("head") + set.raw("base.bin"), "base.fbin")
    var fvecs: [UInt8] = []
    for row in 0..<300 {
      withUnsafeBytes(of: UInt32(8)) { fvecs += $0 }
      for value in rows[row * 8..<(row + 1) * 8] { withUnsafeBytes(of: value) { fvecs += $0 } }
    }
    try set.write(fvecs, "base.fvecs")
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (300, 8), }\n"
    var npy: [UInt8] = [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.utf8.count), 0]
    npy += Array(header.utf8) + (try set.raw("base.bin"))
    try set.write(npy, "base.npy")
  }

  private func run(_ words: String...) -> ProgramRun.Outcome {
    var run = ProgramRun()
    run.workingDirectory = set.path
    run.environment["XDG_DATA_HOME"] = set.path
    return run.run(words)
  }

  @Test(arguments: ["base.fbin", "base.fvecs", "base.npy", "."])
  func everyKindOfFileCanBeIndexed(data: String) throws {
    let built = run("index", "build", data, "out.vidx", "--metric", "l2", "--json")
    #expect(built.exitCode == .ok, "\(built.errors)")
    #expect(try JSON(parsing: built.output)["rows"] == 300)
    let found = run("index", "search", "out.vidx", "--id", "7", "--k", "3", "--json")
    let lines = found.output.split(separator: "\n")
    #expect(lines.count == 3)
    let first = try JSON(parsing: String(lines[0]))
    #expect(first["id"] == 7)
    #expect(try #require(first["distance"]?.number) < 1)
    #expect(run("index", "verify", "out.vidx").exitCode == .ok)
    let inspected = try JSON(parsing: run("index", "inspect", "out.vidx", "--json").output)
    #expect(inspected["dimension"] == 8 && inspected["metric"] == "l2")
    #expect(inspected["m"] == 16 && inspected["journal_bytes"] == .null)
    try set.forget("out.vidx")
  }

  @Test func evaluationFindsWhatBruteForceFinds() throws {
    #expect(run("index", "build", ".", "out.vidx").exitCode == .ok)
    let rows = run("index", "eval", "out.vidx", ".", "--json").output.split(separator: "\n")
    let last = try JSON(parsing: String(try #require(rows.last)))
    #expect(try #require(last["recall"]?.number) >= 0.99)
    #expect(run("index", "compact", "out.vidx").output.contains("300 rows"))
    try set.forget("out.vidx")
  }

  @Test func damageHasItsExitCode() throws {
    #expect(run("index", "build", ".", "out.vidx").exitCode == .ok)
    var bytes = try set.raw("out.vidx")
    bytes[bytes.count / 2] ^= 1
    try set.write(bytes, "bad.vidx")
    let verified = run("index", "verify", "bad.vidx")
    #expect(verified.exitCode == .dataDamaged && verified.errors.contains("damaged"))
    bytes[8] = 9
    try set.write(bytes, "new.vidx")
    #expect(run("index", "verify", "new.vidx").exitCode == .dataTooNew)
    #expect(run("index", "inspect", "base.npy").exitCode == .dataDamaged)
    #expect(run("index", "verify", "none.vidx").exitCode == .failed)
    #expect(run("index", "build", "base.bin", "x").errors.contains(".fvecs"))
    #expect(run("index", "search", "out.vidx").exitCode == .usage)
    #expect(run("index", "search", "out.vidx", "--vector", "1,x").exitCode == .usage)
    #expect(run("index", "search", "out.vidx", "--vector", "1,2").errors.contains("8"))
    try set.forget("out.vidx")
  }

  @Test func benchmarksPrintARowEach() throws {
    let vec = run("bench", "vec", "--data", "base.fvecs", "--metric", "l2", "--json")
    #expect(vec.exitCode == .ok, "\(vec.errors)")
    let rows = try vec.output.split(separator: "\n").map { try JSON(parsing: String($0)) }
    #expect(rows.count == 10 && rows.allSatisfy { $0["recall"]?.number != nil })
    let rag = run("bench", "rag", "--json")
    #expect(rag.exitCode == .ok, "\(rag.errors)")
    let modes = try rag.output.split(separator: "\n").map { try JSON(parsing: String($0)) }
    #expect(modes.compactMap { $0["search"]?.string } == ["hybrid", "vector", "text"])
    for mode in modes { #expect(try #require(mode["ndcg_10"]?.number) > 0.5) }
  }

  @Test func judgedCorporaAreRead() throws {
    try set.write(
      Array(
        """
        {"_id":"d1","title":"Ring","text":"system calls become one"}
        {"_id":"d2","text":"a bear eats honey"}

        """.utf8), "corpus.jsonl")
    try set.write(Array("{\"_id\":\"q1\",\"text\":\"what eats honey\"}\n".utf8), "queries.jsonl")
    try set.write(Array("query-id\tcorpus-id\tscore\nq1\td2\t1\n".utf8), "qrels.tsv")
    let outcome = run("bench", "rag", "--data", ".", "--json")
    #expect(outcome.exitCode == .ok, "\(outcome.errors)")
    let first = try JSON(parsing: String(try #require(outcome.output.split(separator: "\n").first)))
    #expect(first["ndcg_10"]?.number == 1 && first["documents"] == 2)
    try set.write(Array("q1\td2\n".utf8), "qrels.tsv")
    #expect(run("bench", "rag", "--data", ".").exitCode == .failed)
  }
}
