// Contract: on a full disk nothing that was acknowledged is lost, new turns are refused with 503
// `disk_full` and Retry-After, reads go on, readiness says why; with room again turns go on by
// themselves. A disk that is full before the start is exit code 5.
// Not shown here: write errors other than a lack of room.
import Base
import Foundation
import Testing

extension NodeTests {
  @Suite struct DiskTests {
    /// A small file system of its own; nil without the right to mount one.
    final class SmallDisk {
      let folder: TestFolder
      let path: String

      init?(_ folder: TestFolder, size: String) throws {
        self.folder = folder
        path = "\(folder.path)/disk"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        let mount = ["-t", "tmpfs", "-o", "size=\(size)", "tmpfs", path]
        guard try ChildProgram("/bin/mount", mount, in: folder).wait().exitCode == 0 else {
          return nil
        }
      }

      deinit { _ = try? ChildProgram("/bin/umount", ["-l", path], in: folder).wait() }

      func fill() throws {
        try Data().write(to: URL(fileURLWithPath: "\(path)/filler"))
        let descriptor = open("\(path)/filler", O_WRONLY)
        defer { close(descriptor) }
        let zeros = [UInt8](repeating: 0, count: 64 << 10)
        while write(descriptor, zeros, zeros.count) > 0 {}
      }

      func makeRoom() throws { try FileManager.default.removeItem(atPath: "\(path)/filler") }
    }

    private static func disk(_ size: String) throws -> SmallDisk? {
      let disk = try SmallDisk(TestFolder(), size: size)
      if disk == nil { print("DiskTests: skipped, no right to mount a tmpfs") }
      return disk
    }

    @Test func aFullDiskRefusesAndRecovers() throws {
      guard let disk = try Self.disk("120m") else { return }
      let provider = try ScriptedProvider()
      let node = try NodeProcess(
        provider, .init(dataDirectory: "\(disk.path)/data"), folder: disk.folder
      ).start()
      defer { _ = try? node.stop() }
      let ended = try (0..<3).map { index in
        try #require(
          try node.http.turn(["user_message": .string("id=e\(index) say=2")]).last?
            .data["turn_id"]?.string)
      }
      try disk.fill()
      let accepted = try fillUntilRefused(node)
      #expect(try node.http.request("GET", "/health/live").status == 200)
      #expect(try node.http.request("GET", "/health/ready").status == 503)
      for turn in ended { #expect(try node.ended(turn)["status"]?.string == "completed") }
      try disk.makeRoom()
      try Waiting.until("a turn with room again", seconds: 30) {
        let events = try? node.http.turn(["user_message": "id=again say=2"])
        return events?.last?.name == "turn.completed"
      }
      for turn in accepted { #expect(try node.ended(turn)["status"]?.string == "completed") }
      try node.stop(SIGKILL)
      try node.start()
      for turn in ended + accepted {
        #expect(try node.ended(turn)["status"]?.string == "completed")
      }
    }

    /// Asks until the node refuses; returns the turns it took before.
    private func fillUntilRefused(_ node: NodeProcess) throws -> [String] {
      var accepted: [String] = []
      let padding = String(repeating: "x", count: 200_000)
      for index in 0..<400 {
        let reply = try node.http.request(
          "POST", "/v1/turns", ["user_message": .string("id=f\(index) say=1 \(padding)")])
        if reply.status == 202 {
          accepted.append(try #require(reply.json["turn_id"]?.string))
          continue
        }
        #expect(reply.status == 503)
        #expect(reply.code == "disk_full")
        #expect(reply.fields["retry-after"] != nil)
        return accepted
      }
      Issue.record("the disk was never full")
      return accepted
    }

    @Test func aDiskThatIsFullBeforeTheStartIsFive() throws {
      guard let disk = try Self.disk("2m") else { return }
      let node = try NodeProcess(
        try ScriptedProvider(), .init(dataDirectory: "\(disk.path)/data"), folder: disk.folder)
      let outcome = try node.spawn().wait()
      #expect(outcome.exitCode == 5)
      #expect(outcome.errors.contains("space"))
    }
  }
}
