import Glibc

/// Reads a pipe (a child's output) as bytes come. The descriptor must be non-blocking, as the
/// parent's ends of `ChildProcess` are. To be closed in the end.
package final class PipeReader {
  /// Bytes as they arrive, valid during the call.
  package var onReceive: ((UnsafeRawBufferPointer) -> Void)?
  /// `.peerClosed` when every writer has closed, or the failure. Called once.
  package var onEnd: ((SocketEnd) -> Void)?
  private let descriptor: Int32
  private var watch: PollRegistration?
  private var isOpen = true

  /// Bytes taken per turn of the loop, so that a flood leaves the others their share.
  private static let chunkBytes = 65_536

  /// Takes over `descriptor`.
  package init(loop: EventLoop, descriptor: Int32) {
    self.descriptor = descriptor
    watch = loop.poll(descriptor: descriptor, events: .readable) { [self] _ in receive() }
  }

  /// Back-pressure: what the pipe cannot hold then makes the writer wait.
  package func pause() { watch?.update([]) }
  package func resume() { watch?.update(.readable) }

  package func close() {
    guard isOpen else { return }
    isOpen = false
    stopWatching()
    onReceive = nil
    onEnd = nil
    Glibc.close(descriptor)
  }

  private func receive() {
    withUnsafeTemporaryAllocation(byteCount: Self.chunkBytes, alignment: 16) { buffer in
      let count = read(descriptor, buffer.baseAddress!, buffer.count)
      if count > 0 {
        onReceive?(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      } else if count == 0 {
        end(.peerClosed)
      } else if errno != EAGAIN, errno != EINTR {
        end(.failed(.last("read", "pipe")))
      }
    }
  }

  private func end(_ end: SocketEnd) {
    stopWatching()
    onEnd?(end)
  }

  private func stopWatching() {
    watch?.cancel()
    watch = nil
  }
}

/// Writes to a pipe (a child's input). The descriptor must be non-blocking. To be closed in the
/// end.
package final class PipeWriter {
  /// Everything queued has been taken. Called each time the queue runs empty.
  package var onDrained: (() -> Void)?
  /// The reader is gone or writing failed: what was queued is lost. Called once.
  package var onFailure: ((IOFailure) -> Void)?
  private let descriptor: Int32
  private var queue: SendQueue
  private var watch: PollRegistration?
  private var isOpen = true
  private var closesWhenWritten = false

  /// Takes over `descriptor`. SIGPIPE is ignored for the whole process from then on: a child that
  /// ends before it has read its input must not end us.
  package init(loop: EventLoop, descriptor: Int32) {
    signal(SIGPIPE, SIG_IGN)
    self.descriptor = descriptor
    queue = SendQueue(blocks: loop.blocks)
    watch = loop.poll(descriptor: descriptor, events: []) { [self] events in write(events) }
  }

  package var queuedBytes: Int { queue.bytes }

  package func send(_ bytes: [UInt8]) {
    guard isOpen, !closesWhenWritten, !bytes.isEmpty else { return }
    queue.append(bytes)
    watch?.update(.writable)
  }

  /// Closes the pipe when everything queued is written; the reader then sees its end.
  package func closeAfterSending() {
    closesWhenWritten = true
    if queue.isEmpty { close() }
  }

  package func close() {
    guard isOpen else { return }
    isOpen = false
    watch?.cancel()
    watch = nil
    onDrained = nil
    onFailure = nil
    Glibc.close(descriptor)
  }

  private func write(_ events: PollEvents) {
    guard let bytes = queue.front else {
      return watch?.update([]) ?? ()
    }
    let count = Glibc.write(descriptor, bytes.baseAddress!, bytes.count)
    if count >= 0 {
      queue.advance(count)
      if queue.isEmpty { written() }
    } else if errno != EAGAIN, errno != EINTR {
      let failure = IOFailure.last("write", "pipe")
      let body = onFailure
      close()
      body?(failure)
    }
  }

  private func written() {
    watch?.update([])
    if closesWhenWritten { close() } else { onDrained?() }
  }
}
