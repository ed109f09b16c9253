import Base

/// A small file of JSON that says its format version and whether it is whole: one line of JSON, one
/// line with the CRC32C of the first in hexadecimal.
enum SealedJSON {
  static func encode(_ members: JSONObject, version: Int) -> [UInt8] {
    var object: JSONObject = ["format_version": .int(Int64(version))]
    for member in members.members { object[member.name] = member.value }
    var bytes = Array(JSON.object(object).text.utf8)
    let checksum = bytes.withUnsafeBytes { crc32c($0) }
    bytes.append(UInt8(ascii: "\n"))
    bytes += Array(Hex.encode(withUnsafeBytes(of: checksum.bigEndian) { Array($0) }).utf8)
    bytes.append(UInt8(ascii: "\n"))
    return bytes
  }

  static func decode(_ bytes: [UInt8], file: String, version: Int) throws(LogBrokerError) -> JSON {
    let lines = bytes.split(separator: UInt8(ascii: "\n"))
    guard lines.count == 2, bytes.last == UInt8(ascii: "\n"),
      let sealed = UInt32(String(decoding: lines[1], as: UTF8.self), radix: 16),
      lines[1].count == 8, lines[0].withUnsafeBytes({ crc32c($0) }) == sealed,
      let json = lines[0].withUnsafeBytes({ try? JSON(parsing: $0) })
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
