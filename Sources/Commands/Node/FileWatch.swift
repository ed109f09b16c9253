import CLinux
import Glibc
import UringIO

/// Tells when a file has been written or replaced, by watching its directory: editors write a new
/// file and rename it over the old one.
final class FileWatch {
  private let descriptor: Int32
  private let name: String
  private let changed: () -> Void
  private var registration: PollRegistration?

  /// Nil when the directory cannot be watched.
  init?(path: String, loop: EventLoop, changed: @escaping () -> Void) {
    let parts = path.split(separator: "/")
    guard let last = parts.last else { return nil }
    let directory = (path.hasPrefix("/") ? "/" : "") + parts.dropLast().joined(separator: "/")
    name = String(last)
    self.changed = changed
    descriptor = inotify_init1(Int32(IN_NONBLOCK) | Int32(IN_CLOEXEC))
    guard descriptor >= 0 else { return nil }
    let mask = UInt32(IN_CLOSE_WRITE) | UInt32(IN_MOVED_TO)
    guard inotify_add_watch(descriptor, directory.isEmpty ? "." : directory, mask) >= 0 else {
      close(descriptor)
      return nil
    }
    registration = loop.poll(descriptor: descriptor, events: .readable) { [weak self] _ in
      self?.drain()
    }
  }

  deinit {
    registration?.cancel()
    close(descriptor)
  }

  /// Reads what is pending; several writes of one save are one change.
  private func drain() {
    var isOurs = false
    withUnsafeTemporaryAllocation(byteCount: 16 << 10, alignment: 8) { buffer in
      while true {
        let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
        guard count > 0 else { return }
        isOurs = isOurs || names(in: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      }
    }
    if isOurs { changed() }
  }

  /// Whether an event (inotify(7): 16 bytes, then a name of `len` bytes) names the file.
  private func names(in events: UnsafeRawBufferPointer) -> Bool {
    var at = 0
    while at + 16 <= events.count {
      let length = Int(events.loadUnaligned(fromByteOffset: at + 12, as: UInt32.self))
      guard at + 16 + length <= events.count else { return false }
      let text = events[(at + 16)..<(at + 16 + length)].prefix { $0 != 0 }
      if text.elementsEqual(name.utf8) { return true }
      at += 16 + length
    }
    return false
  }
}
