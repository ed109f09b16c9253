import Foundation

/// A program of its own, with a cleaned environment; its output goes to files.
final class ChildProgram {
  struct Outcome {
    /// Minus the signal when one ended it.
    var exitCode: Int32
    var output: String
    var errors: String
  }

  private let process = Process()
  private let folder: TestFolder
  private let name: String

  /// Whether the environment of the tests must not reach programs.
  private static func isUnwanted(_ name: String) -> Bool {
    name.hasPrefix("KFM_") || name.hasPrefix("OTEL_") || name.hasPrefix("IGGY_")
      || name.hasSuffix("API_KEY") || name.lowercased().hasSuffix("_proxy")
  }

  init(
    _ program: String, _ arguments: [String], in folder: TestFolder, name: String = "child",
    environment more: [String: String] = [:], input: String? = nil
  ) throws {
    self.folder = folder
    self.name = "\(name)-\(UUID().uuidString)"
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.currentDirectoryURL = URL(fileURLWithPath: folder.path)
    var environment = ProcessInfo.processInfo.environment.filter { !Self.isUnwanted($0.key) }
    environment["NO_COLOR"] = "1"
    environment.merge(more) { _, new in new }
    process.environment = environment
    try folder.write("\(self.name).in", input ?? "")
    process.standardInput = try FileHandle(forReadingFrom: folder.url("\(self.name).in"))
    process.standardOutput = try create("out")
    process.standardError = try create("err")
    try process.run()
  }

  private func create(_ suffix: String) throws -> FileHandle {
    try folder.write("\(name).\(suffix)", "")
    return try FileHandle(forWritingTo: folder.url("\(name).\(suffix)"))
  }

  var isRunning: Bool { process.isRunning }
  var processID: Int32 { process.processIdentifier }
  var output: String { folder.read("\(name).out") }
  var errors: String { folder.read("\(name).err") }

  func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

  func wait(seconds: Double = 60) throws -> Outcome {
    do {
      try Waiting.until("end of \(name)", seconds: seconds) { !process.isRunning }
    } catch {
      send(SIGKILL)
      throw error
    }
    process.waitUntilExit()
    let isSignal = process.terminationReason == .uncaughtSignal
    return Outcome(
      exitCode: isSignal ? -process.terminationStatus : process.terminationStatus,
      output: output, errors: errors)
  }

  deinit {
    if process.isRunning { send(SIGKILL) }
  }
}
