import Base
import Glibc

/// Indexes on disk: a directory each, written aside, synchronised and renamed, so that a crash at
/// any moment leaves a whole index or none.
struct KnowledgeIndexStore: Sendable {
  struct Content: Sendable {
    var chunks: [KnowledgeChunk]
    var vectors: VectorStoreAdapter
    var lexical: LexicalScorer
  }

  let directory: String

  /// Begins the name of a directory that is being written or thrown away.
  private static let asidePrefix = ".aside-"

  private enum Name {
    static let manifest = "manifest.json"
    static let chunks = "chunks.bin"
    static let vectors = "vectors.hnsw"
    static let words = "words.bm25"
    static let all = [manifest, chunks, vectors, words]
  }

  /// Nil where there is none.
  /// - Throws: for an index that is damaged; it will be replaced.
  func load(_ name: KnowledgeIndexName) throws(MemoryError) -> Content? {
    let path = "\(directory)/\(name.directoryName)"
    guard access(path, F_OK) == 0 else { return nil }
    try checkManifest("\(path)/\(Name.manifest)", name)
    let chunksPath = "\(path)/\(Name.chunks)"
    guard let chunks = try MappedFile(path: chunksPath).withBytes(KnowledgeChunkFile.decode) else {
      throw .malformed(path: chunksPath, reason: "damaged; the index is built anew")
    }
    let vectorsPath = "\(path)/\(Name.vectors)"
    let vectors = try VectorStoreAdapter(
      path: vectorsPath, dimension: name.dimension, attributes: name.attributes)
    guard vectors.count <= chunks.count else {
      throw .malformed(path: vectorsPath, reason: "more vectors than chunks")
    }
    let lexical = try LexicalScorer(path: "\(path)/\(Name.words)")
    guard lexical.count == chunks.count else {
      throw .malformed(path: "\(path)/\(Name.words)", reason: "the words of other chunks")
    }
    return Content(chunks: chunks, vectors: vectors, lexical: lexical)
  }

  private func checkManifest(_ path: String, _ name: KnowledgeIndexName) throws(MemoryError) {
    let file = try MappedFile(path: path)
    let found: JSON
    do throws(JSONError) {
      found = try file.withBytes { (bytes) throws(JSONError) in try JSON(parsing: bytes) }
    } catch {
      throw .malformed(path: path, reason: error.description)
    }
    guard found == name.json else {
      throw .malformed(path: path, reason: "names another index than its directory")
    }
  }

  func save(_ content: Content, _ name: KnowledgeIndexName) throws(MemoryError) {
    try makeDirectories(directory)
    let aside = "\(directory)/\(Self.asidePrefix)\(name.directoryName)"
    remove(aside)
    try check("mkdir", aside, mkdir(aside, 0o700))
    var manifest: [UInt8] = []
    name.json.append(to: &manifest)
    try write(manifest, to: "\(aside)/\(Name.manifest)")
    try write(KnowledgeChunkFile.encode(content.chunks), to: "\(aside)/\(Name.chunks)")
    try content.vectors.save(to: "\(aside)/\(Name.vectors)")
    try content.lexical.save(to: "\(aside)/\(Name.words)")
    try synchronize(aside)
    try replace("\(directory)/\(name.directoryName)", by: aside)
    try synchronize(directory)
  }

  /// A directory cannot be renamed over one that is not empty: a damaged index goes aside first.
  /// A crash between the two renames leaves none, and the next start builds it.
  private func replace(_ path: String, by aside: String) throws(MemoryError) {
    if access(path, F_OK) == 0 {
      let old = aside + ".old"
      remove(old)
      try check("rename", path, rename(path, old))
      try check("rename", aside, rename(aside, path))
      remove(old)
    } else {
      try check("rename", aside, rename(aside, path))
    }
  }

  func prune(keeping packDigests: Set<String>) -> Int {
    let prefixes = Set(packDigests.map { $0.prefix(16) })
    var removed = 0
    for name in names(in: directory) {
      let isOfLivePack = prefixes.contains { name.hasPrefix("\($0)-") }
      guard name.hasPrefix(Self.asidePrefix) || (isIndex(name) && !isOfLivePack) else { continue }
      remove("\(directory)/\(name)")
      removed += 1
    }
    return removed
  }

  /// Whether a directory holds one of our indexes: nothing else is ever removed.
  private func isIndex(_ name: String) -> Bool {
    access("\(directory)/\(name)/\(Name.manifest)", F_OK) == 0
      && access("\(directory)/\(name)/\(Name.vectors)", F_OK) == 0
  }

  // MARK: System calls

  /// Removes an index's files and its directory; what else may be in it stays, with it.
  private func remove(_ path: String) {
    for name in Name.all {
      unlink("\(path)/\(name)")
      unlink("\(path)/\(name).tmp")
    }
    rmdir(path)
  }

  private func names(in path: String) -> [String] {
    guard let stream = opendir(path) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names
  }

  private func makeDirectories(_ path: String) throws(MemoryError) {
    var at = path.startIndex
    while at < path.endIndex {
      at = path[path.index(after: at)...].firstIndex(of: "/") ?? path.endIndex
      let part = String(path[..<at])
      guard mkdir(part, 0o700) == 0 || errno == EEXIST else {
        throw .system(call: "mkdir", path: part, errno: errno)
      }
    }
  }

  private func write(_ bytes: [UInt8], to path: String) throws(MemoryError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    try check("open", path, descriptor)
    defer { close(descriptor) }
    var written = 0
    while written < bytes.count {
      let result = bytes.withUnsafeBytes { buffer in
        Glibc.write(descriptor, buffer.baseAddress! + written, buffer.count - written)
      }
      if result < 0, errno == EINTR { continue }
      try check("write", path, Int32(clamping: result))
      written += result
    }
    try check("fsync", path, fsync(descriptor))
  }

  private func synchronize(_ path: String) throws(MemoryError) {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    try check("open", path, descriptor)
    defer { close(descriptor) }
    try check("fsync", path, fsync(descriptor))
  }

  private func check(_ call: String, _ path: String, _ result: Int32) throws(MemoryError) {
    guard result >= 0 else { throw .system(call: call, path: path, errno: errno) }
  }
}
