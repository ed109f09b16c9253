// Contract: `kfm bench vec-serve` answers each line with one line, goes on after an error, reads
// the data set that meta.json describes, and writes answers whose recall counted here against
// brute force is what a search should reach.
// Not shown here: speed (Benchmarks/vector).
import Base
import Commands
import Glibc
import Testing

@Suite struct VecServeTests {
  @Test func everyLineIsAnswered() throws {
    let lines = [
      "{\"op\":\"hello\"}", "{\"op\":\"search\"}", "not json", "{\"op\":\"nosuch\"}", "{}",
      "{\"op\":\"open\",\"data\":\"/nonexistent\"}", "{\"op\":\"simd\"}", "{\"op\":\"quit\"}",
      "{\"op\":\"hello\"}",
    ]
    let answers = try serve(lines)
    #expect(answers.count == 8, "nothing after quit")
    #expect(answers[0]["lib"]?.string == "kfm")
    #expect(answers[0]["efs"] == .null)
    for index in 1...5 { #expect(answers[index]["error"]?.string != nil) }
    #expect(answers[6]["simd"]?.string?.isEmpty == false)
    #expect(answers[7] == ["ok": true])
  }

  @Test(arguments: ["cosine", "ip", "l2"], ["float32", "float16", "int8"])
  func answersHaveTheRecallOfBruteForce(metric: String, type: String) throws {
    let set = try DatasetFolder(metric: metric, type: type, rows: 600, dimension: 24)
    let answers = try serve([
      "{\"op\":\"open\",\"data\":\"\(set.path)\"}",
      "{\"op\":\"build\",\"m\":16,\"efc\":100,\"n\":500}",
      "{\"op\":\"add\",\"from\":490,\"to\":600}",
      "{\"op\":\"search\",\"ef\":100,\"k\":10,\"mode\":\"single\",\"ids_out\":\"\(set.path)/ids\","
        + "\"dist_out\":\"\(set.path)/distances\"}",
      "{\"op\":\"search\",\"ef\":100,\"k\":10,\"threads\":2,\"nq\":7,\"ids_out\":\"\(set.path)/b\"}",
      "{\"op\":\"save\",\"path\":\"\(set.path)/index\"}",
      "{\"op\":\"load\",\"path\":\"\(set.path)/index\",\"mmap\":true}",
      "{\"op\":\"search\",\"ef\":100,\"k\":10,\"ids_out\":\"\(set.path)/after\"}",
    ])
    for answer in answers { #expect(answer["error"] == nil, "\(answer.text)") }
    #expect(answers[0] == ["n": 600, "d": 24, "nq": 20])
    #expect(answers[2]["n"] == 100 && answers[2]["count"] == 600)
    #expect(answers[3]["nq"] == 20 && answers[3]["p50_us"]?.number != nil)
    #expect(answers[4]["nq"] == 7 && answers[4]["p50_us"] == nil)
    let ids = try set.int32("ids")
    #expect(try set.recall(of: ids, k: 10) >= 0.98)
    let distances = try set.float32("distances")
    for query in 0..<20 {
      let row = distances[query * 10..<(query + 1) * 10]
      #expect(row.elementsEqual(row.sorted()))
    }
    #expect(try set.recall(of: set.int32("b"), k: 10) >= 0.98)
    #expect(try set.recall(of: set.int32("after"), k: 10) >= 0.98)
  }

  @Test func filtersAndDeletesHold() throws {
    let set = try DatasetFolder(metric: "cosine", type: "float32", rows: 500, dimension: 16)
    let allowed = (0..<500).map { UInt8($0 % 7 == 0 ? 1 : 0) }
    try set.write(allowed, "allow")
    try set.write((0..<500).filter { $0 % 14 == 0 }.map { Int32($0) }, "gone")
    let answers = try serve([
      "{\"op\":\"open\",\"data\":\"\(set.path)\"}", "{\"op\":\"build\"}",
      "{\"op\":\"filter\",\"k\":10,\"ef\":64,\"allow\":\"\(set.path)/allow\","
        + "\"ids_out\":\"\(set.path)/filtered\"}",
      "{\"op\":\"delete\",\"ids\":\"\(set.path)/gone\"}",
      "{\"op\":\"filter\",\"k\":50,\"ef\":64,\"allow\":\"\(set.path)/allow\","
        + "\"ids_out\":\"\(set.path)/fewer\"}",
      "{\"op\":\"add\",\"ids\":\"\(set.path)/gone\"}",
    ])
    for answer in answers { #expect(answer["error"] == nil, "\(answer.text)") }
    #expect(try set.int32("filtered").allSatisfy { $0 >= 0 && $0 % 7 == 0 })
    #expect(answers[3]["n"] == 36 && answers[3]["count"] == 464)
    // 72 multiples of 7, 36 of them even: 36 are left, and 14 places of the 50 stay empty.
    let fewer = try set.int32("fewer")
    #expect(fewer[..<36].allSatisfy { $0 % 7 == 0 && $0 % 14 != 0 })
    #expect(fewer[36..<50].allSatisfy { $0 == -1 })
    #expect(answers[5]["n"] == 36 && answers[5]["count"] == 500)
  }

  @Test(arguments: [0, 1]) func rowsAreAddedAloneOrBesideSearches(readers: Int) throws {
    let set = try DatasetFolder(metric: "l2", type: "float32", rows: 600, dimension: 24)
    let answers = try serve([
      "{\"op\":\"open\",\"data\":\"\(set.path)\"}", "{\"op\":\"build\",\"n\":100}",
      "{\"op\":\"mixed\",\"from\":100,\"to\":600,\"readers\":\(readers)}",
      "{\"op\":\"search\",\"ef\":100,\"k\":10,\"ids_out\":\"\(set.path)/ids\"}",
    ])
    for answer in answers { #expect(answer["error"] == nil, "\(answer.text)") }
    let mixed = answers[2]
    #expect(mixed["n"] == 500)
    #expect((mixed["longest_add_us"]?.number ?? 0) >= (mixed["p50_add_us"]?.number ?? .infinity))
    #expect((mixed["p99_us"]?.number != nil) == (readers == 1), "queries only where some searches")
    #expect(try set.recall(of: set.int32("ids"), k: 10) >= 0.98)
  }

  @Test(arguments: [
    ("\"dims\":24", "\"dims\":0", "dims"), ("\"l2\"", "\"l3\"", "metric"),
    ("\"little\"", "\"big\"", "endian"), ("\"float32\"", "\"float31\"", "dtype"),
    ("\"count\":600", "\"count\":601", "need"), ("\"base.bin\"", "\"gone.bin\"", "gone.bin"),
  ]) func wrongDescriptionsAreExplained(from: String, to: String, says: String) throws {
    let set = try DatasetFolder(metric: "l2", type: "float32", rows: 600, dimension: 24)
    try set.editMeta(from, to)
    let answers = try serve(["{\"op\":\"open\",\"data\":\"\(set.path)\"}"])
    #expect(answers[0]["error"]?.string?.contains(says) == true, "\(answers[0].text)")
  }

  private func serve(_ lines: [String]) throws -> [JSON] {
    var run = ProgramRun()
    run.input = lines.joined(separator: "\n") + "\n"
    let outcome = run.run("bench", "vec-serve")
    #expect(outcome.exitCode == .ok && outcome.errors.isEmpty)
    return try outcome.output.split(separator: "\n").map { try JSON(parsing: String($0)) }
  }
}
