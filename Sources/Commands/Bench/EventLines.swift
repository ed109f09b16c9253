import Base
import Glibc

/// JSON lines that are with the kernel when `write` returns, whatever becomes of the process.
final class EventLines {
  private let descriptor: Int32
  private let sink: DescriptorSink
  private(set) var failure: OutputFailure?

  /// - Parameter path: of a file, which is made or added to; `-` is standard output.
  init(path: String, in directory: String) throws(CommandFailure) {
    if path == "-" {
      descriptor = STDOUT_FILENO
    } else {
      descriptor = open(
        Path.absolute(path, in: directory), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
      guard descriptor >= 0 else {
        throw CommandFailure(
          .notWritable, "\(path) cannot be written: \(SystemError.text(errno))")
      }
    }
    sink = DescriptorSink(descriptor)
  }

  deinit { if descriptor != STDOUT_FILENO { close(descriptor) } }

  func write(_ body: (inout JSONWriter) -> Void) {
    guard failure == nil else { return }
    var writer = JSONWriter(reserving: 128)
    writer.beginObject()
    body(&writer)
    writer.endObject()
    writer.bytes.append(UInt8(ascii: "\n"))
    failure = writer.bytes.withUnsafeBytes { bytes in
      do throws(OutputFailure) {
        try sink.write(bytes)
        return nil
      } catch {
        return error
      }
    }
  }
}
