// Contract: the model server is started in the background, calls wait for it for a bounded time,
// it is started again when it ends, and it ends with its supervisor. A shell script stands in for
// Python; the last test uses the real model where KFM_TEST_MODELS names its directory.
import Base
import Events
import Glibc
import HTTP
import Providers
import TestSupport
import Testing
import UringIO

/// A model directory whose "python" is `script`.
final class FakeModelDirectory {
  let path: String

  init(_ script: String) {
    var template = Array("/tmp/kfm-model-XXXXXX".utf8CString)
    precondition(mkdtemp(&template) != nil, "no temporary folder")
    path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    mkdir("\(path)/venv", 0o755)
    mkdir("\(path)/venv/bin", 0o755)
    write(LocalModelFiles.python, "#!/bin/sh\n\(script)\n")
    write(LocalModelFiles.server, "")
  }

  func write(_ name: String, _ text: String) {
    let descriptor = open("\(path)/\(name)", O_CREAT | O_WRONLY | O_TRUNC, 0o755)
    precondition(descriptor >= 0, "cannot write \(name)")
    _ = text.withCString { Glibc.write(descriptor, $0, strlen($0)) }
    close(descriptor)
  }

  deinit {
    for name in [LocalModelFiles.python, LocalModelFiles.server, LocalModelFiles.stamp, "log"] {
      unlink("\(path)/\(name)")
    }
    for name in ["/venv/bin", "/venv", ""] { rmdir(path + name) }
  }
}

@Suite(.serialized) struct LocalModelServerTests {
  private func server(_ directory: String, _ harness: LoopHarness, _ ring: LogRing = LogRing())
    -> LocalModelServer
  {
    LocalModelServer(
      directory: directory, threads: 2, loop: harness.loop,
      logger: Logger(module: "providers", ring: ring, clock: SystemClock()))
  }

  @Test func readyIsAnnouncedWithThePort() throws {
    let files = FakeModelDirectory(
      #"echo "$@" > \#("$HOME")/log; echo noise; echo READY; echo 'a warning' >&2; exec sleep 60"#)
    try LoopHarness.run { harness in
      let ring = LogRing()
      ring.level = .debug
      let server = server(files.path, harness, ring)
      server.start()
      #expect(server.reachability().detail == "is starting")
      var port: UInt16?
      _ = server.whenReady { port = try? $0.get() }
      #expect(harness.until { port != nil })
      #expect(server.reachability() == (true, "serves on port \(port ?? 0)"))
      var again: UInt16?
      _ = server.whenReady { again = try? $0.get() }
      #expect(again == nil)
      #expect(harness.until { again == port })
      #expect(harness.until { ring.drain().contains { $0.fields["line"] == "a warning" } })
      server.stop()
    }
    let log = fopen("\(files.path)/log", "r")
    defer { fclose(log) }
    var line = [CChar](repeating: 0, count: 512)
    fgets(&line, 512, log)
    let text = line.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    #expect(text.hasPrefix("\(files.path)/llmserve.py --port ") && text.hasSuffix("--threads 2\n"))
  }

  @Test func aServerThatEndsIsStartedAgain() throws {
    // Not ready at first, ready the second time.
    let files = FakeModelDirectory(
      "if [ -e $HOME/log ]; then echo READY; exec sleep 60; fi; touch $HOME/log; echo no wheel >&2; exit 3"
    )
    try LoopHarness.run { harness in
      let server = server(files.path, harness)
      server.start()
      var port: UInt16?
      _ = server.whenReady { port = try? $0.get() }
      #expect(
        harness.until { server.reachability().detail == "ended with exit status 3: no wheel" })
      #expect(!server.reachability().reachable && port == nil)
      #expect(harness.until { port != nil })
      server.stop()
    }
  }

  @Test func stopKillsItAndAnswersWhoWaits() throws {
    let files = FakeModelDirectory("echo $$ > $HOME/log; exec sleep 1000")
    try LoopHarness.run { harness in
      let server = server(files.path, harness)
      server.start()
      var failure: TurnFailure?
      _ = server.whenReady { if case .failure(let found) = $0 { failure = found } }
      var cancelled = false
      server.whenReady { _ in cancelled = true }.cancel()
      let pid = readPID(files.path, harness)
      #expect(pid > 0 && kill(pid, 0) == 0)
      server.stop()
      #expect(failure?.code == .providerUnavailable && !cancelled)
      #expect(harness.untilSeen { kill(pid, 0) != 0 })
    }
  }

  @Test func aProgramThatIsNotThereIsReported() throws {
    try LoopHarness.run { harness in
      let server = server("/nowhere", harness)
      server.start()
      #expect(!server.reachability().reachable)
      #expect(server.reachability().detail.contains("/nowhere"))
      server.stop()
    }
  }

  @Test func installationIsCompleteOrNone() {
    let files = FakeModelDirectory("")
    #expect(!LocalModelFiles.isInstalled(directory: files.path))
    files.write(LocalModelFiles.stamp, "")
    #expect(LocalModelFiles.isInstalled(directory: files.path))
    #expect(!LocalModelFiles.isInstalled(directory: "/nowhere"))
  }

  private func readPID(_ path: String, _ harness: LoopHarness) -> Int32 {
    var pid: Int32 = 0
    _ = harness.untilSeen {
      guard let log = fopen("\(path)/log", "r") else { return false }
      defer { fclose(log) }
      var text = [CChar](repeating: 0, count: 32)
      guard fgets(&text, 32, log) != nil else { return false }
      pid = Int32(atoi(text))
      return pid > 0
    }
    return pid
  }
}
