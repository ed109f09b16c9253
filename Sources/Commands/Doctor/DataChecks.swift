import Base
import Glibc

/// The data directory and the disk under it.
struct DataChecks {
  let directory: String
  let clock: any Clock

  /// Below this a node soon refuses turns.
  private static let freeWarn = 1 << 30
  private static let freeFail = 64 << 20
  private static let daysWarn = 14.0
  /// Younger data says nothing about growth.
  private static let ageMin = Nanoseconds.seconds(3_600)

  func all() -> [HealthCheck] { [data, disk] }

  private var data: HealthCheck {
    guard access(directory, F_OK) == 0 else {
      let parent = existingParent
      guard access(parent, W_OK) == 0 else {
        return HealthCheck(
          "data", .fail, "\(directory) cannot be made in \(parent)",
          remedy: "set node.data_dir to a place you may write to")
      }
      return HealthCheck("data", .ok, "\(directory) will be made at the first start")
    }
    guard access(directory, R_OK | W_OK | X_OK) == 0 else {
      return HealthCheck(
        "data", .fail, "\(directory): \(SystemError.text(errno))",
        remedy: "check its owner and permissions, or set node.data_dir")
    }
    return HealthCheck("data", .ok, directory)
  }

  private var disk: HealthCheck {
    var status = statvfs()
    guard statvfs(existingParent, &status) == 0 else {
      return HealthCheck("disk", .warn, "free space is unknown: \(SystemError.text(errno))")
    }
    let free = Int(status.f_bavail) * Int(status.f_frsize)
    let usage = DirectoryUsage.measure(directory)
    let days = daysLeft(free: free, usage)
    let forecast =
      days.map {
        "full in \($0 > 3_650 ? "over 10 years" : "\(Int($0)) days") at its growth so far"
      }
      ?? "too young to forecast"
    let detail =
      "\(Quantity.bytes(free)) free, data \(Quantity.bytes(usage.bytes)), \(forecast)"
    let remedy = "make room, move node.data_dir, or shorten [retention]"
    if free < Self.freeFail { return HealthCheck("disk", .fail, detail, remedy: remedy) }
    if free < Self.freeWarn || days.map({ $0 < Self.daysWarn }) ?? false {
      return HealthCheck("disk", .warn, detail, remedy: remedy)
    }
    return HealthCheck("disk", .ok, detail)
  }

  /// At the average growth since the data was made; nil when that says nothing yet.
  private func daysLeft(free: Int, _ usage: DirectoryUsage) -> Double? {
    guard let oldest = usage.oldest, usage.growing > 0 else { return nil }
    let age = Double(clock.wall().microseconds - oldest.microseconds) / 1e6
    guard age >= Self.ageMin.seconds else { return nil }
    return Double(free) / (Double(usage.growing) / age) / 86_400
  }

  /// Where the directory is, or would be.
  private var existingParent: String {
    var path = directory
    while access(path, F_OK) != 0, path != "/", path != "." { path = Path.directory(of: path) }
    return path
  }
}

/// What a folder takes on its disk.
struct DirectoryUsage {
  private(set) var bytes = 0
  /// Of that, without what has a fixed size: the journal, which is written in circles.
  private(set) var growing = 0
  /// When its oldest file was changed last.
  private(set) var oldest: Timestamp?

  /// Deep enough for any data directory; a link is not followed.
  private static let depthMax = 8

  static func measure(_ directory: String) -> DirectoryUsage {
    var usage = DirectoryUsage()
    usage.add(directory, depth: 0)
    return usage
  }

  private mutating func add(_ directory: String, depth: Int) {
    guard depth < Self.depthMax, let stream = opendir(directory) else { return }
    defer { closedir(stream) }
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      var status = stat()
      let path = "\(directory)/\(name)"
      guard name != ".", name != "..", lstat(path, &status) == 0 else { continue }
      switch status.st_mode & S_IFMT {
      case S_IFDIR: add(path, depth: depth + 1)
      case S_IFREG: add(file: name, status)
      default: break
      }
    }
  }

  private mutating func add(file name: String, _ status: stat) {
    let size = Int(status.st_blocks) * 512
    bytes += size
    if !name.hasPrefix("journal") { growing += size }
    let changed = Timestamp(
      microseconds: Int64(status.st_mtim.tv_sec) * 1_000_000
        + Int64(status.st_mtim.tv_nsec) / 1_000)
    oldest = min(oldest ?? changed, changed)
  }
}
