import Iggy

/// Writes a file in full before it becomes a segment: where a block has been written before, a sync
/// has no metadata to write with it. A piece goes with each direct write that finds the disk idle, so
/// that the file is ready when the segment that is being filled is full.
final class SparePreparation {
  private let storage: any LoopStorage
  private let files: SegmentFiles
  private var file: (any LoopFile)?
  private var size = 0
  private var written = 0
  /// The disk has a piece: the log is not closed before it has ended, so that it cannot come over
  /// what a later process writes.
  private(set) var isBusy = false
  /// There is a file that is not ready yet.
  var isUnderWay: Bool { file != nil && !isOver }
  /// Something failed, or the log closes: segments get new files, as without a spare.
  private var isOver = false
  private var zeros: AlignedBuffer?
  /// Hears that the disk has nothing of it any more.
  var onIdle: () -> Void = {}

  private static let pieceBytes = 2 << 20
  /// A spare of more would take too much of the disk for what it brings.
  private static let segmentBytesMax = 256 << 20
  /// It has this name until it is ready. One that a crash left is begun anew.
  static let path = SegmentFiles.recycledDirectory + "/spare.tmp"

  init(storage: any LoopStorage, files: SegmentFiles) {
    self.storage = storage
    self.files = files
  }

  /// Writes the next piece, of about `length` bytes, if a file for a segment of `segmentBytes` is
  /// wanted.
  func advance(by length: Int, segmentBytes: Int) {
    guard !isOver, !isBusy else { return }
    guard let file else {
      if files.wantsSpare, segmentBytes <= Self.segmentBytesMax { begin(segmentBytes) }
      return
    }
    // A little faster than the segment is filled.
    let piece = GroupWriter.roundedToBlock(length + length / 4)
    let count = min(piece, Self.pieceBytes, size - written)
    let zeros = zeros ?? Self.makeZeros()
    self.zeros = zeros
    isBusy = true
    file.write(at: written, UnsafeRawBufferPointer(zeros.bytes.slice(0..<count))) {
      [self] result in
      guard case .success = result, !isOver else { return stop() }
      isBusy = false
      written += count
      if written == size { finish(file) }
    }
  }

  private static func makeZeros() -> AlignedBuffer {
    let zeros = AlignedBuffer(capacity: pieceBytes)
    zeros.bytes.initializeMemory(as: UInt8.self, repeating: 0)
    return zeros
  }

  /// Makes the file: pieces come with the writes after this one.
  private func begin(_ segmentBytes: Int) {
    isBusy = true
    size = GroupWriter.roundedToBlock(segmentBytes)
    written = 0
    storage.makeDirectory(SegmentFiles.recycledDirectory) { [self] _ in
      // Without the directory the opening fails, too.
      files.create(Self.path, isDirect: true) { [self] result in
        guard case .success(let opened) = result else { return stop() }
        file = opened
        opened.allocate(size) { [self] result in
          guard case .success = result, !isOver else { return stop() }
          isBusy = false
        }
      }
    }
  }

  private func finish(_ file: any LoopFile) {
    isBusy = true
    file.sync { [self] result in
      guard case .success = result, !isOver else { return stop() }
      files.addSpare(Self.path) { [self] isKept in
        guard isKept else { return stop() }
        isBusy = false
        zeros = nil
        file.close()
        self.file = nil
        if isOver { onIdle() }
      }
    }
  }

  private func stop() {
    isBusy = false
    end()
  }

  /// Nothing more is written.
  func end() {
    isOver = true
    guard !isBusy else { return }
    zeros = nil
    guard let file else { return onIdle() }
    file.close()
    self.file = nil
    isBusy = true
    storage.remove(Self.path) { [self] _ in
      isBusy = false
      onIdle()
    }
  }
}
