import Base
import Glibc

/// Frames that the official SDK and a real server exchanged (`Tests/Fixtures/iggy`).
enum RecordedFrames {
  /// Bytes of a frame's own header, before the body.
  static let frameHeaderLength = 256

  static func request(_ name: String) throws -> [UInt8] { try body(name, "request_hex") }
  static func response(_ name: String) throws -> [UInt8] { try body(name, "response_hex") }

  private static func body(_ name: String, _ field: String) throws -> [UInt8] {
    let json = try JSON(parsing: read("\(name).json"))
    let frame = json[field]?.string.flatMap { Hex.decode($0) } ?? []
    return Array(frame.dropFirst(frameHeaderLength))
  }

  private static func read(_ name: String) -> [UInt8] {
    let here = #filePath.split(separator: "/", omittingEmptySubsequences: false)
    let path = here.dropLast(2).joined(separator: "/") + "/Fixtures/iggy/" + name
    guard let file = fopen(path, "r") else { return [] }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = fread(&bytes, 1, bytes.count, file)
    return Array(bytes.prefix(count))
  }
}
