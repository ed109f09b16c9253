import Glibc

/// Why a stream takes nothing any more.
package enum OutputFailure: Error, Equatable {
  /// Whoever read it has closed it.
  case closed
  case failed(code: Int32)
}

/// Where bytes end up.
package protocol OutputSink: AnyObject {
  /// Takes all of `bytes`, waiting where it must.
  func write(_ bytes: UnsafeRawBufferPointer) throws(OutputFailure)
}

/// A file descriptor, written with the calling thread waiting.
package final class DescriptorSink: OutputSink {
  private let descriptor: Int32

  package init(_ descriptor: Int32) { self.descriptor = descriptor }

  package func write(_ bytes: UnsafeRawBufferPointer) throws(OutputFailure) {
    var rest = bytes[...]
    while let base = UnsafeRawBufferPointer(rebasing: rest).baseAddress, !rest.isEmpty {
      let count = Glibc.write(descriptor, base, rest.count)
      if count >= 0 {
        rest = rest.dropFirst(count)
      } else if errno == EAGAIN {
        // A terminal that somebody else made non-blocking.
        var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = poll(&wait, 1, -1)
      } else if errno != EINTR {
        throw errno == EPIPE ? .closed : .failed(code: errno)
      }
    }
  }
}

/// A small buffer before a stream. Nothing is lost silently: the first failure is kept, what comes
/// after it is dropped, and the program decides once what it means for the exit code.
package final class OutputWriter {
  /// Bytes kept back before they are written.
  private static let bufferBytes = 32 << 10

  private let sink: any OutputSink
  private var buffer: [UInt8] = []
  package let style: Style
  package let isTerminal: Bool
  package private(set) var failure: OutputFailure?

  package init(_ sink: any OutputSink, isTerminal: Bool, style: Style = Style(isOn: false)) {
    self.sink = sink
    self.isTerminal = isTerminal
    self.style = style
  }

  /// Whether it is of any use to go on writing.
  package var isOpen: Bool { failure == nil }

  package func write(_ bytes: some Collection<UInt8>) {
    guard isOpen else { return }
    buffer.append(contentsOf: bytes)
    if buffer.count >= Self.bufferBytes { flush() }
  }

  package func write(_ text: String) { write(text.utf8) }

  package func line(_ text: String) {
    write(text)
    write(CollectionOfOne(UInt8(ascii: "\n")))
  }

  package func flush() {
    guard isOpen, !buffer.isEmpty else { return }
    failure = buffer.withUnsafeBytes { bytes in
      do throws(OutputFailure) {
        try sink.write(bytes)
        return nil
      } catch {
        return error
      }
    }
    buffer.removeAll(keepingCapacity: true)
  }
}
