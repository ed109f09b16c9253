import Base

/// A small file of JSON that says its format version and whether it is whole: one line of JSON, one
/// line with the CRC32C of the first in hexadecimal.
enum SealedJSON {
  static func encode(_ members: JSONObject, version: Int) -> [UInt8] {
    var object: JSONObject = ["format_version": .int(Int64(version))]
    for member in members.members { object[member.name] = member.value }
    let line = Array(JSON.object(object).text.utf8)
    return line + seal(line[...])
  }

  /// What follows the first line: its end, and the second line.
  private static func seal(_ line: ArraySlice<UInt8>) -> [UInt8] {
    let checksum = line.withUnsafeBytes { crc32c($0) }
    return Array("\n\(Hex.encode(withUnsafeBytes(of: checksum.bigEndian) { Array($0) }))\n".utf8)
  }

  static func decode(_ bytes: [UInt8], file: String, version: Int) throws(LogBrokerError) -> JSON {
    let line = bytes.prefix { $0 != UInt8(ascii: "\n") }
    guard bytes[line.endIndex...].elementsEqual(seal(line)),
      let json = line.withUnsafeBytes({ try? JSON(parsing: $0) })
    else { throw .damaged(file: file, reason: "its checksum does not match its content") }
    guard let found = json["format_version"]?.int else {
      throw .damaged(file: file, reason: "it has no format version")
    }
    if found > version {
      throw .formatTooNew(file: file, version: Int(clamping: found), supported: version)
    }
    return json
  }
}
