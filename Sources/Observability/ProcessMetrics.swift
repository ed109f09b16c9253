package import Base
import Glibc

/// What the kernel says about this process.
package struct ProcessMetrics: Sendable {
  package var residentBytes: Int
  package var virtualBytes: Int
  /// User and system time of all threads.
  package var cpuSeconds: Double
  package var descriptors: Int
  package var descriptorsMax: Int

  /// Reads /proc and rusage now. A value that cannot be read is 0.
  package static func read() -> ProcessMetrics {
    let pages = statm()
    let pageBytes = Int(sysconf(Int32(_SC_PAGESIZE)))
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    return ProcessMetrics(
      residentBytes: pages.resident * pageBytes, virtualBytes: pages.size * pageBytes,
      cpuSeconds: cpuTime(), descriptors: openDescriptors(),
      descriptorsMax: Int(clamping: limit.rlim_cur))
  }

  /// Registers these as metrics; `started` is when the process began.
  package static func register(with collector: MetricsCollector, started: Timestamp) {
    let startSeconds = Double(started.microseconds) / 1e6
    func gauge(_ name: String, _ help: String, _ value: @escaping (ProcessMetrics) -> Double) {
      collector.gauge(MetricDescription(name, help)) { [MetricSample([], value(read()))] }
    }
    gauge("kfm_process_resident_memory_bytes", "Resident memory.") { Double($0.residentBytes) }
    gauge("kfm_process_virtual_memory_bytes", "Virtual memory.") { Double($0.virtualBytes) }
    gauge("kfm_process_open_fds", "Open file descriptors.") { Double($0.descriptors) }
    gauge("kfm_process_max_fds", "Most file descriptors allowed.") { Double($0.descriptorsMax) }
    gauge("kfm_process_start_time_seconds", "Start of the process, as Unix time.") { _ in
      startSeconds
    }
    collector.counter(
      MetricDescription("kfm_process_cpu_seconds_total", "User and system CPU time.")
    ) { [MetricSample([], cpuTime())] }
  }

  private static func cpuTime() -> Double {
    var usage = rusage()
    getrusage(RUSAGE_SELF.rawValue, &usage)
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    return seconds(usage.ru_utime) + seconds(usage.ru_stime)
  }

  /// Total and resident size in pages (proc(5), `/proc/pid/statm`).
  private static func statm() -> (size: Int, resident: Int) {
    let file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return (0, 0) }
    defer { close(file) }
    var buffer = [UInt8](repeating: 0, count: 128)
    let count = Glibc.read(file, &buffer, buffer.count)
    guard count > 0 else { return (0, 0) }
    let fields = String(decoding: buffer[..<count], as: UTF8.self).split(separator: " ")
    guard fields.count > 1 else { return (0, 0) }
    return (Int(fields[0]) ?? 0, Int(fields[1]) ?? 0)
  }

  private static func openDescriptors() -> Int {
    guard let directory = opendir("/proc/self/fd") else { return 0 }
    defer { closedir(directory) }
    var count = 0
    while readdir(directory) != nil { count += 1 }
    // Not counted: `.`, `..` and the descriptor of this listing.
    return max(0, count - 3)
  }
}
