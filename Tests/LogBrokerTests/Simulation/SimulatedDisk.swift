import Base
import LogBroker

/// A file system in memory that remembers what has been synced, fails where it is told to, and can
/// lose power: then each unsynced sector is kept, dropped or torn by seed, and so are each unsynced
/// size and directory entry. A sync makes one file's content and size durable and nothing else; a
/// file whose directory is lost is lost with it.
final class SimulatedDisk: LoopStorage {
  enum Fault: Sendable, CaseIterable {
    case ioError, diskFull, shortWrite, syncError, crash
  }

  /// What a disk, or the code above it, can do wrong so that acknowledgements are worth nothing:
  /// each must be found by the tests.
  enum Lie: Sendable, CaseIterable {
    /// Commits are acknowledged without their sync.
    case commitsAreNotSynced
    /// A commit's sync does not wait for its write.
    case syncsAreNotLinked
    /// Journals are released though the segments were not synced.
    case segmentsAreNotSynced
    /// The checkpoint is renamed though its content was not synced.
    case checkpointsAreNotSynced
    case directoriesAreNotSynced
    /// What recovery writes again is not synced before it is served.
    case recoveryDoesNotSync
    /// The file a packed segment was made from goes though the copy was not synced.
    case packedCopiesAreNotSynced
  }

  static let sectorBytes = 512

  final class Inode {
    /// What programs see.
    var content: [UInt8] = []
    /// What the disk holds.
    var durable: [UInt8] = []
    /// Sectors of `content` that a sync has to write.
    var dirty: Set<Int> = []
    /// Syncs of it that were asked for, and those that are over.
    var syncsAsked = 0
    var syncsDone = 0
    /// Open to be stored to.
    var windows = 0

    func setSize(_ size: Int) {
      if size < content.count {
        // Should the file grow again, there are zeros.
        mark(size..<content.count)
        content.removeLast(content.count - size)
      } else if size > content.count {
        content.append(contentsOf: repeatElement(0, count: size - content.count))
      }
    }

    func mark(_ range: Range<Int>) {
      guard !range.isEmpty else { return }
      dirty.formUnion(range.lowerBound / sectorBytes...(range.upperBound - 1) / sectorBytes)
    }

    /// Nothing of it is open any more.
    func forgetProcess() {
      windows = 0
      syncsDone = syncsAsked
    }

    func settle() {
      durable = content
      dirty.removeAll(keepingCapacity: true)
    }
  }

  /// How often each thing that a power loss can do was done, over all lives of a disk.
  final class Tally {
    private(set) var counts: [String: Int] = [:]
    func note(_ name: String) { counts[name, default: 0] += 1 }
  }

  /// A change of a directory that is not durable yet: `path` means `inode` from now on, and
  /// `removed` nothing.
  private struct Entry {
    var path: String
    var inode: Inode?
    var removed: String?
    var isDirectory = false
  }

  private let loop: SimulatedLoop
  private let random: SeededRandom
  private var names: [String: Inode] = [:]
  private var durableNames: [String: Inode] = [:]
  private var directories: Set<String> = [""]
  private var durableDirectories: Set<String> = [""]
  private var unsyncedEntries: [Entry] = []
  /// Stays the same for what becomes of this disk.
  private(set) var tally = Tally()
  var lies: Set<Lie> = []
  private var isLocked = false
  /// Calls so far; the next one fails as planned for its number.
  private(set) var calls = 0
  var faults: [Int: Fault] = [:]
  /// Another after each power loss.
  private(set) var bootID: UInt128 = 1
  /// No file can be stored to in place.
  var mapsNothing = false
  /// Windows that are open now.
  var windowsOpen: Int { names.values.reduce(0) { $0 + $1.windows } }
  /// While set, nothing can grow.
  var isFull = false
  /// While set, nothing can be opened.
  var hasNoDescriptors = false
  /// Bytes that all files together may have.
  var capacity = Int.max
  /// Bytes that they have.
  var usedBytes: Int {
    var seen: Set<ObjectIdentifier> = []
    return names.values.reduce(0) {
      seen.insert(ObjectIdentifier($1)).inserted ? $0 + $1.content.count : $0
    }
  }
  private var roomLeft: Int {
    if isFull { return 0 }
    return capacity == .max ? .max / 2 : max(0, capacity - usedBytes)
  }
  /// While set, room beyond is refused, and up to here is kept.
  var roomRefused: Int?
  /// Files that cannot be made.
  var refused: (String) -> Bool = { _ in false }
  private(set) var isDead = false
  private var isAbandoned = false
  /// What was under way when the power went.
  private var unanswered: [() -> Void] = []
  /// The call that a planned fault has met.
  private var failedCall: String?
  var hasFailed: Bool { failedCall != nil }

  init(loop: SimulatedLoop, seed: UInt64) {
    self.loop = loop
    random = SeededRandom(seed: seed)
  }

  // MARK: Faults

  enum Outcome {
    case normal, shortWrite
  }

  /// Counts a call and decides what becomes of it.
  private func enter(_ name: String, isWrite: Bool, isSync: Bool) throws(StorageFailure) -> Outcome
  {
    if isDead { throw StorageFailure(.other, "the power is gone") }
    let fault = faults[calls]
    calls += 1
    guard let fault else { return .normal }
    switch fault {
    case .crash:
      failedCall = name
      isDead = true
      throw StorageFailure(.other, "the power is gone")
    case .ioError:
      failedCall = name
      throw StorageFailure(.other, "\(name): Input/output error")
    case .diskFull where isWrite:
      failedCall = name
      throw StorageFailure(.diskFull, "\(name): No space left on device")
    case .shortWrite where isWrite:
      failedCall = name
      return .shortWrite
    case .syncError where isSync:
      failedCall = name
      throw StorageFailure(.other, "\(name): Input/output error")
    default: return .normal
    }
  }

  // MARK: What is left

  /// The same disk for a new process, everything written still in the page cache.
  func afterKill(loop: SimulatedLoop) -> SimulatedDisk {
    let next = SimulatedDisk(loop: loop, seed: random.next())
    next.names = names
    next.durableNames = durableNames
    next.directories = directories
    next.durableDirectories = durableDirectories
    next.unsyncedEntries = unsyncedEntries
    for inode in names.values { inode.forgetProcess() }
    next.refused = refused
    next.bootID = bootID
    next.tally = tally
    next.lies = lies
    return next
  }

  /// What the disk holds when the power comes back.
  func afterPowerLoss(loop: SimulatedLoop) -> SimulatedDisk {
    let next = SimulatedDisk(loop: loop, seed: random.next())
    var survivors = durableNames
    next.directories = durableDirectories
    // Nothing of it, all of it, or what chance will have.
    let share = random.next(below: 4)
    for entry in unsyncedEntries {
      let isKept = share == 0 ? false : share == 1 ? true : random.next(below: 2) == 0
      tally.note(isKept ? "entry kept" : "entry lost")
      guard isKept else { continue }
      if entry.isDirectory { next.directories.insert(entry.path) }
      if let inode = entry.inode { survivors[entry.path] = inode }
      if let removed = entry.removed { survivors[removed] = nil }
    }
    var settled: [ObjectIdentifier: Inode] = [:]
    for (path, inode) in survivors.sorted(by: { $0.key < $1.key }) {
      guard next.hasDirectories(above: path) else {
        tally.note("file lost with its directory")
        continue
      }
      let id = ObjectIdentifier(inode)
      if settled[id] == nil { settled[id] = afterPowerLoss(inode) }
      next.names[path] = settled[id]
    }
    next.directories = next.directories.filter { next.hasDirectories(above: $0) }
    next.durableDirectories = next.directories
    next.durableNames = next.names
    next.bootID = bootID + 1
    next.tally = tally
    next.lies = lies
    return next
  }

  private func hasDirectories(above path: String) -> Bool {
    var path = path
    while !path.isEmpty {
      path = Self.directory(of: path)
      if !directories.contains(path) { return false }
    }
    return true
  }

  private func afterPowerLoss(_ inode: Inode) -> Inode {
    let left = Inode()
    left.content = inode.durable
    guard !inode.dirty.isEmpty || inode.content.count != inode.durable.count else {
      left.durable = left.content
      return left
    }
    let size = sizeAfterPowerLoss(inode)
    left.setSize(max(size, left.content.count))
    for sector in inode.dirty.sorted() {
      let start = sector * Self.sectorBytes
      let end = min(start + Self.sectorBytes, left.content.count)
      guard start < end else { continue }
      let choice = random.next(below: 4)
      tally.note(choice == 0 ? "sector dropped" : choice == 1 ? "sector torn" : "sector kept")
      if choice == 0 { continue }
      // Torn: the first part is new, the rest is what was there.
      let cut = choice == 1 ? start + Int(random.next(below: UInt64(end - start))) : end
      for index in start..<cut {
        left.content[index] = index < inode.content.count ? inode.content[index] : 0
      }
    }
    left.setSize(size)
    left.settle()
    return left
  }

  /// The old one, the new one, or the end of a sector that was written.
  private func sizeAfterPowerLoss(_ inode: Inode) -> Int {
    guard inode.content.count != inode.durable.count else { return inode.content.count }
    switch random.next(below: 4) {
    case 0:
      tally.note("size lost")
      return inode.durable.count
    case 1 where inode.content.count > inode.durable.count && !inode.dirty.isEmpty:
      tally.note("size in between")
      let sector = inode.dirty.sorted()[Int(random.next(below: UInt64(inode.dirty.count)))]
      let end = min((sector + 1) * Self.sectorBytes, inode.content.count)
      return max(end, inode.durable.count)
    default:
      tally.note("size kept")
      return inode.content.count
    }
  }

  // MARK: Storage

  func open(_ path: String, _ access: StorageAccess) throws(StorageFailure) -> any StorageFile {
    try openLoopFile(path, access)
  }

  func openLoopFile(_ path: String, _ access: StorageAccess) throws(StorageFailure)
    -> any LoopFile
  {
    _ = try enter("open \(path)", isWrite: access == .create, isSync: false)
    if hasNoDescriptors { throw StorageFailure(.descriptors, "open \(path)") }
    if case .create = access {
      if refused(path) { throw StorageFailure(.denied, "open \(path)") }
      if names[path] == nil, roomLeft == 0 { throw StorageFailure(.diskFull, "open \(path)") }
      guard directories.contains(Self.directory(of: path)) else {
        throw StorageFailure(.notFound, "open \(path): no directory")
      }
      let inode = Inode()
      names[path] = inode
      unsyncedEntries.append(Entry(path: path, inode: inode))
      return SimulatedFile(self, inode, path)
    }
    guard let inode = names[path] else { throw StorageFailure(.notFound, "open \(path)") }
    return SimulatedFile(self, inode, path)
  }

  func openFile(
    _ path: String, _ access: StorageAccess, isDirect: Bool,
    completion: @escaping (Result<any LoopFile, StorageFailure>) -> Void
  ) {
    perform(completion) { (disk) throws(StorageFailure) in
      let file = try disk.openLoopFile(path, access)
      guard isDirect else { return file }
      return SimulatedFile(disk, (file as! SimulatedFile).inode, path, isDirect: true)
    }
  }

  func makeDirectory(
    _ path: String, completion: @escaping (Result<Void, StorageFailure>) -> Void
  ) {
    perform(completion) { (disk) throws(StorageFailure) in try disk.makeDirectory(path) }
  }

  func rename(
    _ path: String, to target: String,
    completion: @escaping (Result<Void, StorageFailure>) -> Void
  ) {
    perform(completion) { (disk) throws(StorageFailure) in try disk.rename(path, to: target) }
  }

  func remove(_ path: String, completion: @escaping (Result<Void, StorageFailure>) -> Void) {
    perform(completion) { (disk) throws(StorageFailure) in try disk.remove(path) }
  }

  func pack(
    _ path: String, size: Int, completion: @escaping (Result<Int, CommitFailure>) -> Void
  ) {
    perform(completion) { (disk) throws(CommitFailure) in
      try SegmentPacker(storage: disk, path: path, size: size).run()
    }
  }

  func makeDirectory(_ path: String) throws(StorageFailure) {
    _ = try enter("mkdir \(path)", isWrite: true, isSync: false)
    var partial = ""
    for part in path.split(separator: "/") {
      partial += partial.isEmpty ? String(part) : "/\(part)"
      if directories.insert(partial).inserted {
        unsyncedEntries.append(Entry(path: partial, inode: nil, isDirectory: true))
      }
    }
  }

  func rename(_ path: String, to target: String) throws(StorageFailure) {
    _ = try enter("rename \(path)", isWrite: true, isSync: false)
    guard let inode = names.removeValue(forKey: path) else {
      throw StorageFailure(.notFound, "rename \(path)")
    }
    names[target] = inode
    unsyncedEntries.append(Entry(path: target, inode: inode, removed: path))
  }

  func remove(_ path: String) throws(StorageFailure) {
    _ = try enter("unlink \(path)", isWrite: false, isSync: false)
    guard names.removeValue(forKey: path) != nil else { return }
    unsyncedEntries.append(Entry(path: path, inode: nil, removed: path))
  }

  func identity(of path: String) throws(StorageFailure) -> UInt64? {
    _ = try enter("stat \(path)", isWrite: false, isSync: false)
    return names[path].map { UInt64(UInt(bitPattern: ObjectIdentifier($0))) }
  }

  func syncDirectory(_ path: String) throws(StorageFailure) {
    _ = try enter("sync \(path)", isWrite: false, isSync: true)
    if hasNoDescriptors { throw StorageFailure(.descriptors, "open \(path)") }
    if lies.contains(.directoriesAreNotSynced) { return }
    let synced = unsyncedEntries.filter { Self.directory(of: $0.path) == path }
    unsyncedEntries.removeAll { Self.directory(of: $0.path) == path }
    for entry in synced {
      if entry.isDirectory { durableDirectories.insert(entry.path) }
      if let inode = entry.inode { durableNames[entry.path] = inode }
      if let removed = entry.removed { durableNames[removed] = nil }
    }
  }

  private static func directory(of path: String) -> String {
    path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
  }

  func syncDirectory(
    _ path: String, completion: @escaping (Result<Void, StorageFailure>) -> Void
  ) {
    perform(completion) { (disk) throws(StorageFailure) in try disk.syncDirectory(path) }
  }

  func lock(_ path: String) throws(StorageFailure) -> any StorageLock {
    if isLocked { throw StorageFailure(.locked, "lock \(path)") }
    isLocked = true
    return Lock(self)
  }

  private final class Lock: StorageLock {
    let disk: SimulatedDisk

    init(_ disk: SimulatedDisk) { self.disk = disk }

    func release() { disk.isLocked = false }
  }

  /// Runs `body` when the loop gets to it; a dead disk answers nothing.
  fileprivate func perform<T, Failure: Error>(
    _ completion: @escaping (Result<T, Failure>) -> Void,
    _ body: @escaping (SimulatedDisk) throws(Failure) -> T
  ) {
    loop.start { [self] in
      let result: Result<T, Failure>
      do throws(Failure) {
        result = .success(try body(self))
      } catch {
        result = .failure(error)
      }
      guard isDead, !isAbandoned else { return completion(result) }
      unanswered.append { completion(result) }
    }
  }

  /// The end of the process whose disk this was: everything under way fails, so that it lets go of
  /// what it holds. None of it changes what is on the disk.
  func abandon() {
    isDead = true
    isAbandoned = true
    for answer in unanswered { loop.start(answer) }
    unanswered = []
    loop.settle()
    loop.forgetEverything()
  }

  // MARK: Looking and damaging, for tests

  var paths: [String] { names.keys.sorted() }

  func content(of path: String) -> [UInt8] { names[path]?.content ?? [] }

  func setContent(_ bytes: [UInt8], of path: String) {
    let inode = Inode()
    inode.content = bytes
    inode.durable = bytes
    names[path] = inode
    durableNames[path] = inode
    var directory = Self.directory(of: path)
    while !directory.isEmpty {
      directories.insert(directory)
      durableDirectories.insert(directory)
      directory = Self.directory(of: directory)
    }
  }

  /// Changes one bit where it stands.
  func flip(_ path: String, byte: Int, bit: Int) { names[path]?.content[byte] ^= 1 << UInt8(bit) }

  /// Cuts a file, or makes it longer, where it stands.
  func setSize(_ path: String, _ size: Int) { names[path]?.setSize(size) }

  /// Gives a file a second name.
  func link(_ path: String, to target: String) {
    names[target] = names[path]
    durableNames[target] = durableNames[path]
  }

  func removeFile(_ path: String) {
    names[path] = nil
    durableNames[path] = nil
  }

  /// A copy that shares nothing.
  func copy(loop: SimulatedLoop) -> SimulatedDisk {
    let next = SimulatedDisk(loop: loop, seed: 1)
    for (path, inode) in names { next.setContent(inode.content, of: path) }
    return next
  }

  // MARK: Files

  fileprivate func write(
    _ inode: Inode, _ path: String, at offset: Int, _ bytes: UnsafeRawBufferPointer
  ) throws(StorageFailure) {
    let outcome = try enter("write \(path)", isWrite: true, isSync: false)
    var count = bytes.count
    if outcome == .shortWrite { count = Int(random.next(below: UInt64(max(1, bytes.count)))) }
    let written = min(count, max(0, inode.content.count + roomLeft - offset))
    if inode.content.count < offset + written { inode.setSize(offset + written) }
    inode.content.withUnsafeMutableBytes { content in
      if written > 0 {
        content.baseAddress!.advanced(by: offset).copyMemory(
          from: bytes.baseAddress!, byteCount: written)
      }
    }
    inode.mark(offset..<offset + written)
    if written < bytes.count { throw StorageFailure(.diskFull, "write \(path): short") }
  }

  /// A window's store: a crash in the middle of it leaves a part, nothing else can go wrong.
  fileprivate func store(_ inode: Inode, at offset: Int, _ bytes: UnsafeRawBufferPointer) {
    var count = bytes.count
    guard !isDead else { return }
    do throws(StorageFailure) {
      _ = try enter("store", isWrite: false, isSync: false)
    } catch {
      if isDead { count = Int(random.next(below: UInt64(bytes.count))) }
    }
    tally.note(count < bytes.count ? "store cut short" : "store")
    inode.content.withUnsafeMutableBytes { content in
      content.baseAddress!.advanced(by: offset).copyMemory(
        from: bytes.baseAddress!, byteCount: count)
    }
    inode.mark(offset..<offset + count)
  }

  fileprivate func openWindow(_ inode: Inode, _ path: String, _ range: Range<Int>)
    throws(StorageFailure) -> any FileWindow
  {
    _ = try enter("map \(path)", isWrite: false, isSync: false)
    if mapsNothing { throw StorageFailure(.other, "map \(path): not here") }
    tally.note("window")
    return SimulatedWindow(self, inode, range)
  }

  fileprivate func sync(_ inode: Inode, _ path: String) throws(StorageFailure) {
    do throws(StorageFailure) {
      _ = try enter("fdatasync \(path)", isWrite: false, isSync: true)
    } catch {
      // The kernel takes what it could not write for clean.
      if !isDead { inode.dirty = [] }
      throw error
    }
    if lies.contains(.segmentsAreNotSynced), path.hasSuffix(".log") { return }
    if lies.contains(.checkpointsAreNotSynced), path.contains("checkpoint") { return }
    if lies.contains(.packedCopiesAreNotSynced), path.contains(".zst") { return }
    let old = inode.durable.count
    let new = inode.content.count
    if old > new { inode.durable.removeLast(old - new) }
    if old < new { inode.durable.append(contentsOf: repeatElement(0, count: new - old)) }
    for sector in inode.dirty {
      let start = sector * Self.sectorBytes
      let end = min(start + Self.sectorBytes, new)
      guard start < end else { continue }
      for index in start..<end { inode.durable[index] = inode.content[index] }
    }
    inode.dirty.removeAll(keepingCapacity: true)
  }

  fileprivate func read(
    _ inode: Inode, _ path: String, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws(StorageFailure) -> Int {
    _ = try enter("read \(path)", isWrite: false, isSync: false)
    let count = max(0, min(buffer.count, inode.content.count - offset))
    if count > 0 { buffer.copyBytes(from: inode.content[offset..<offset + count]) }
    return count
  }

  fileprivate func allocate(_ inode: Inode, _ path: String, _ size: Int) throws(StorageFailure) {
    _ = try enter("allocate \(path)", isWrite: true, isSync: false)
    if size > inode.content.count + roomLeft { throw StorageFailure(.diskFull, "allocate \(path)") }
    if let most = roomRefused, size > most {
      inode.setSize(max(most, inode.content.count))
      throw StorageFailure(.diskFull, "allocate \(path)")
    }
    if size > inode.content.count { inode.setSize(size) }
  }

  fileprivate func truncate(_ inode: Inode, to size: Int) throws(StorageFailure) {
    _ = try enter("truncate", isWrite: false, isSync: false)
    precondition(inode.windows == 0, "a mapped file is cut")
    inode.setSize(size)
  }
}

private final class SimulatedFile: LoopFile {
  private let disk: SimulatedDisk
  let inode: SimulatedDisk.Inode
  private let path: String
  /// Takes whole blocks from memory that begins at one.
  private let isDirect: Bool
  private var isClosed = false

  init(
    _ disk: SimulatedDisk, _ inode: SimulatedDisk.Inode, _ path: String, isDirect: Bool = false
  ) {
    self.isDirect = isDirect
    self.disk = disk
    self.inode = inode
    self.path = path
  }

  private func checkOpen() { precondition(!isClosed, "\(path) is used after close()") }

  func size() throws(StorageFailure) -> Int { inode.content.count }

  func read(
    at offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws(StorageFailure) -> Int {
    checkOpen()
    return try disk.read(inode, path, at: offset, into: buffer)
  }

  func write(at offset: Int, _ bytes: UnsafeRawBufferPointer) throws(StorageFailure) {
    checkOpen()
    try disk.write(inode, path, at: offset, bytes)
  }

  func truncate(to size: Int) throws(StorageFailure) {
    checkOpen()
    try disk.truncate(inode, to: size)
  }

  func allocate(_ size: Int) throws(StorageFailure) {
    checkOpen()
    try disk.allocate(inode, path, size)
  }

  func sync() throws(StorageFailure) {
    checkOpen()
    if disk.lies.contains(.recoveryDoesNotSync), path.hasSuffix(".wal") { return }
    try disk.sync(inode, path)
  }

  func close() {
    precondition(!isClosed, "\(path) is closed twice")
    isClosed = true
  }

  func read(
    at offset: Int, into buffer: UnsafeMutableRawBufferPointer,
    completion: @escaping (Result<Int, StorageFailure>) -> Void
  ) {
    checkOpen()
    disk.perform(completion) { [inode, path] (disk) throws(StorageFailure) in
      try disk.read(inode, path, at: offset, into: buffer)
    }
  }

  func write(
    at offset: Int, _ bytes: UnsafeRawBufferPointer,
    completion: @escaping (Result<Void, StorageFailure>) -> Void
  ) {
    checkOpen()
    let block = LogLimits.blockBytes
    precondition(
      !isDirect
        || (offset % block == 0 && bytes.count % block == 0
          && Int(bitPattern: bytes.baseAddress) % block == 0),
      "\(path): not a direct write")
    disk.perform(completion) { [inode, path] (disk) throws(StorageFailure) in
      try disk.write(inode, path, at: offset, bytes)
    }
  }

  func writeAndSync(
    at offset: Int, _ bytes: UnsafeRawBufferPointer,
    completion: @escaping (Result<Void, CommitFailure>) -> Void
  ) {
    if disk.lies.contains(.syncsAreNotLinked) { return race(at: offset, bytes, completion) }
    write(at: offset, bytes) { [self] result in
      if case .failure(let failure) = result { return completion(.failure(.write(failure))) }
      if disk.lies.contains(.commitsAreNotSynced) { return completion(.success(())) }
      // The file may have been closed meanwhile: what is under way goes on.
      performSync { completion($0.mapError { .sync($0) }) }
    }
  }

  private func performSync(_ completion: @escaping (Result<Void, StorageFailure>) -> Void) {
    inode.syncsAsked += 1
    disk.perform(completion) { [inode, path] (disk) throws(StorageFailure) in
      defer { inode.syncsDone += 1 }
      try disk.sync(inode, path)
    }
  }

  func openWindow(
    _ range: Range<Int>, completion: @escaping (Result<any FileWindow, StorageFailure>) -> Void
  ) {
    checkOpen()
    disk.perform(completion) { [inode, path] (disk) throws(StorageFailure) in
      try disk.openWindow(inode, path, range)
    }
  }

  /// Write and sync as two that know nothing of each other.
  private func race(
    at offset: Int, _ bytes: UnsafeRawBufferPointer,
    _ completion: @escaping (Result<Void, CommitFailure>) -> Void
  ) {
    var left = 2
    func done() {
      left -= 1
      if left == 0 { completion(.success(())) }
    }
    write(at: offset, bytes) { _ in done() }
    sync { _ in done() }
  }

  func sync(completion: @escaping (Result<Void, StorageFailure>) -> Void) {
    checkOpen()
    performSync(completion)
  }

  func truncate(to size: Int, completion: @escaping (Result<Void, StorageFailure>) -> Void) {
    disk.perform(completion) { [inode] (disk) throws(StorageFailure) in
      try disk.truncate(inode, to: size)
    }
  }

  func allocate(_ size: Int, completion: @escaping (Result<Void, StorageFailure>) -> Void) {
    disk.perform(completion) { [inode, path] (disk) throws(StorageFailure) in
      try disk.allocate(inode, path, size)
    }
  }
}

/// Page-cache content like any other; that a store never waits is checked instead of waiting.
private final class SimulatedWindow: FileWindow {
  let range: Range<Int>
  private let disk: SimulatedDisk
  private let inode: SimulatedDisk.Inode
  private let syncsAsked: Int
  /// A sync was under way when the pages were made ready: nobody knows which of them it took.
  private let isUncertain: Bool
  private var isClosed = false

  init(_ disk: SimulatedDisk, _ inode: SimulatedDisk.Inode, _ range: Range<Int>) {
    precondition(
      range.lowerBound % LogLimits.blockBytes == 0 && range.upperBound <= inode.content.count,
      "mapped beyond what the file has room for")
    self.disk = disk
    self.inode = inode
    self.range = range
    syncsAsked = inode.syncsAsked
    isUncertain = inode.syncsAsked != inode.syncsDone
    inode.windows += 1
  }

  func store(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    precondition(!isClosed, "stored in a window that was closed")
    precondition(
      range.lowerBound <= offset && offset + bytes.count <= range.upperBound,
      "stored beside a window")
    precondition(
      !isUncertain && syncsAsked == inode.syncsAsked,
      "stored where a sync had been: that waits for the disk")
    disk.store(inode, at: offset, bytes)
  }

  func close() {
    precondition(!isClosed, "a window is closed twice")
    isClosed = true
    inode.windows -= 1
  }
}
