import Glibc

/// What the process has used so far, for differences.
enum ProcessUsage {
  /// CPU seconds of all threads, in user and kernel.
  static func cpuSeconds() -> Double {
    var time = timespec()
    guard clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 else { return 0 }
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  /// Bytes of memory that are resident now.
  static func residentBytes() -> Int {
    guard let text = TextFile.read("/proc/self/statm", limit: 4096) else { return 0 }
    let fields = text.split(separator: " ")
    guard fields.count > 1, let pages = Int(fields[1]) else { return 0 }
    return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
  }
}

/// Wall and CPU time of a piece of work, in seconds.
struct StopWatch {
  private let wall = Self.monotonic()
  private let cpu = ProcessUsage.cpuSeconds()

  var wallSeconds: Double { Double(Self.monotonic() - wall) / 1e9 }
  var cpuSeconds: Double { ProcessUsage.cpuSeconds() - cpu }

  /// Nanoseconds of a clock that only grows; its zero has no meaning.
  static func monotonic() -> Int64 { read(CLOCK_MONOTONIC) }

  /// Nanoseconds that the calling thread has had a processor.
  static func threadCPU() -> Int64 { read(CLOCK_THREAD_CPUTIME_ID) }

  private static func read(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}

/// How long the calling thread could have run while the processors ran others. Of the thread that
/// made it.
final class RunDelay {
  private let file = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)

  deinit { if file >= 0 { close(file) } }

  /// Nanoseconds since the thread began; 0 where the kernel does not count them.
  func nanoseconds() -> Int64 {
    var text = [UInt8](repeating: 0, count: 80)
    let length = pread(file, &text, text.count, 0)
    guard length > 0 else { return 0 }
    let fields = String(decoding: text[..<length], as: UTF8.self).split(separator: " ")
    return fields.count > 1 ? Int64(fields[1]) ?? 0 : 0
  }
}
