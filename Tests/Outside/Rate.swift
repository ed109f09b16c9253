// Searches as a program of somebody else would make them. `write DIR` writes a data set; `measure
// DIR` builds an index of its rows and prints the CPU seconds of one search a query.
import Glibc
import VectorIndex

let (rows, queries, dimension) = (8_000, 1_000, 96)

/// Clouds around centres, the same in every run.
func vectors(_ count: Int, seed: UInt64) -> [Float] {
  var state = seed
  func unit() -> Float {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Float(state >> 40) / Float(1 << 24) - 0.5
  }
  let centres = (0..<100).map { _ in (0..<dimension).map { _ in unit() } }
  var all: [Float] = []
  for row in 0..<count { for value in centres[row % 100] { all.append(value + 0.8 * unit()) } }
  return all
}

func write(_ bytes: UnsafeRawBufferPointer, _ path: String) {
  guard let file = fopen(path, "w"), fwrite(bytes.baseAddress, 1, bytes.count, file) == bytes.count,
    fclose(file) == 0
  else { fatalError("cannot write \(path)") }
}

func cpuSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

let directory = CommandLine.arguments[2]
let base = vectors(rows, seed: 1)
let asked = Array(vectors(rows + queries, seed: 1).suffix(queries * dimension))
if CommandLine.arguments[1] == "write" {
  mkdir(directory, 0o755)
  base.withUnsafeBytes { write($0, directory + "/base.bin") }
  asked.withUnsafeBytes { write($0, directory + "/queries.bin") }
  let meta = """
    {"name":"outside","dims":\(dimension),"count":\(rows),"queries":\(queries),"metric":"l2",
    "dtype":"float32","endian":"little","base":"base.bin","query":"queries.bin"}
    """
  Array(meta.utf8).withUnsafeBytes { write($0, directory + "/meta.json") }
} else {
  let index = try VectorIndex(options: .init(dimension: dimension, metric: .l2))
  let ids = (0..<rows).map { UInt64($0) }
  try index.add(rows: base.span, ids: ids.span)
  var room = [Neighbour](repeating: Neighbour(id: 0, distance: 0), count: 10)
  var results = room.mutableSpan
  var began = 0.0
  // The first pass warms up, as the driver's first search does.
  for _ in 0..<2 {
    began = cpuSeconds()
    for query in 0..<queries {
      let vector = asked.span.extracting(query * dimension..<(query + 1) * dimension)
      _ = try index.search(vector, ef: 64, into: &results)
    }
  }
  print(cpuSeconds() - began)
}
