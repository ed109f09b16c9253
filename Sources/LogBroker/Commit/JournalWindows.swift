import Base
import Iggy

/// The pages of the active journal file, ahead of where it is written, that small groups are stored
/// in without asking the kernel. Opened when two such groups come without a sync between, kept ahead
/// of the groups while they come, and given up with every sync: that takes the pages' readiness.
/// A group that finds no page ready is written as ever, so that no store waits for the disk.
final class JournalWindows {
  private struct Window {
    let window: any FileWindow
    /// Not later than its pages were made ready.
    let openedAt: Nanoseconds
  }

  private let files: [any LoopFile]
  /// Of each file. Grows.
  var capacity: [Int]
  /// One after the other, in the file `active`.
  private var windows: [Window] = []
  private var active = 0
  /// Where the last group ends.
  private var end = 0
  private var isOpening = false
  /// Another is wanted than the one that is being opened.
  private var isReopening = false
  /// The storage has none, or the journal is closed.
  private var isOver = false
  /// Syncs begun so far: pages made ready before one are not ready after it.
  private var syncs = 0
  /// Of the next window.
  private var length = LogLimits.windowBytesMin
  /// Since the last sync.
  private var storedBytes = 0
  private var missed = 0
  /// The last sync was asked for by such groups alone, so that more are to come.
  private var isWarm = false

  init(files: [any LoopFile], capacity: [Int]) {
    self.files = files
    self.capacity = capacity
  }

  /// Stores a group where it can be done without waiting; false means that it has to be written.
  func store(
    _ bytes: UnsafeRawBufferPointer, in file: Int, at position: Int, now: Nanoseconds
  ) -> Bool {
    let range = position..<position + bytes.count
    guard file == active, bytes.count <= LogLimits.storedBytesMax, isReady(range, now) else {
      return false
    }
    for window in windows {
      let part = window.window.range.clamped(to: range)
      guard !part.isEmpty else { continue }
      window.window.store(
        bytes.slice(part.lowerBound - position..<part.upperBound - position), at: part.lowerBound)
    }
    end = range.upperBound
    storedBytes += bytes.count
    while let first = windows.first, first.window.range.upperBound <= end {
      first.window.close()
      windows.removeFirst()
    }
    extend(now)
    return true
  }

  /// A group that needs no sync is written at `range`.
  func miss(_ range: Range<Int>, in file: Int, now: Nanoseconds) {
    if file != active { drop() }
    active = file
    end = range.upperBound
    guard range.count <= LogLimits.storedBytesMax else { return }
    missed += 1
    if missed > 1 || isWarm { extend(now) }
  }

  /// A sync of the active file is about to begin; `withGroup` where a group is written with it.
  func beginSync(withGroup: Bool) {
    isWarm = !withGroup && (storedBytes > 0 || missed > 0)
    let unit = LogLimits.windowBytesMin
    length = min(max(unit, (storedBytes + unit - 1) / unit * unit), LogLimits.windowBytesMax)
    storedBytes = 0
    missed = 0
    drop()
  }

  /// The sync is over: what comes next need not be written.
  func endSync(now: Nanoseconds) { if isWarm { extend(now) } }

  func close() {
    isOver = true
    drop()
  }

  /// What is open, or about to be, is of no use any more.
  private func drop() {
    syncs += 1
    isReopening = false
    for window in windows { window.window.close() }
    windows = []
  }

  private func isReady(_ range: Range<Int>, _ now: Nanoseconds) -> Bool {
    guard let first = windows.first, let last = windows.last,
      first.window.range.lowerBound <= range.lowerBound,
      range.upperBound <= last.window.range.upperBound
    else { return false }
    if now - first.openedAt <= LogLimits.windowTimeMax { return true }
    drop()
    return false
  }

  /// Sees to it that there is as much ahead as has been used at a time.
  private func extend(_ now: Nanoseconds) {
    let ahead = max(end, windows.last?.window.range.upperBound ?? 0)
    guard !isOver, windows.count < 2, ahead - end <= length / 2 else { return }
    guard !isOpening else { return isReopening = true }
    if storedBytes >= length { length = min(2 * length, LogLimits.windowBytesMax) }
    let range = ahead..<min(ahead + length, capacity[active])
    guard !range.isEmpty else { return }
    isOpening = true
    isReopening = false
    files[active].openWindow(range) { [self, syncs] result in
      isOpening = false
      opened(result, now: now, isCurrent: syncs == self.syncs)
    }
  }

  private func opened(
    _ result: Result<any FileWindow, StorageFailure>, now: Nanoseconds, isCurrent: Bool
  ) {
    guard case .success(let window) = result else { return isOver = true }
    if isCurrent, !isOver, window.range.upperBound > end {
      windows.append(Window(window: window, openedAt: now))
    } else {
      window.close()
    }
    if isReopening { extend(now) }
  }
}
