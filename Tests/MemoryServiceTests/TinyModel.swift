import Base

/// A tokenizer and a weight table small enough to work out by hand, in the format of the real ones.
enum TinyModel {
  /// Ids: 0–2 specials, 3–258 the bytes, then these.
  static let tokens = ["▁", "a", "b", "c", "ab", "▁a", "▁ab", "abc", "bc", "é", "\"", "▁\""]
  /// Lowest first. In `▁abc` the pair `▁ a` goes stale when `ab` is made; whoever merges by its old
  /// rank makes `▁ab` before `abc`.
  static let merges = ["a b", "▁ a", "ab c", "▁ ab", "b c", "▁ \""]

  static func id(_ token: String) -> UInt32 { UInt32(259 + tokens.firstIndex(of: token)!) }

  static func tokenizer(
    merges: [String] = merges, unknownOnly: Bool = false, preTokenizer: JSON = .null
  ) -> [UInt8] {
    var vocabulary: JSONObject = ["<unk>": 0, "<s>": 1, "</s>": 2]
    if !unknownOnly {
      for byte in 0..<256 {
        vocabulary["<0x\(Hex.encode([UInt8(byte)]).uppercased())>"] = .int(Int64(3 + byte))
      }
    }
    for (index, token) in tokens.enumerated() { vocabulary[token] = .int(Int64(259 + index)) }
    let specials = [("<unk>", 0), ("<s>", 1), ("</s>", 2)].map { text, id in
      JSON.object(["id": .int(Int64(id)), "content": .string(text)])
    }
    let whole: JSON = [
      "added_tokens": .array(specials), "pre_tokenizer": preTokenizer,
      "model": [
        "type": "BPE", "unk_token": "<unk>", "byte_fallback": true,
        "vocab": .object(vocabulary), "merges": .array(merges.map(JSON.string)),
      ],
    ]
    var bytes: [UInt8] = []
    whole.append(to: &bytes)
    return bytes
  }

  static let rows = 259 + tokens.count
  static let columns = 3

  /// Row r is (r, −r/2, 1) as Float16, which holds these exactly.
  static func weights(dtype: String = "F16", rows: Int = rows) -> [UInt8] {
    let data = self.rows * columns * 2
    let header =
      #"{"embedding.weight":{"dtype":"\#(dtype)","shape":[\#(rows),\#(columns)],"#
      + #""data_offsets":[0,\#(data)]}}"#
    var bytes: [UInt8] = []
    withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { bytes += $0 }
    bytes += header.utf8
    for row in 0..<self.rows {
      for value in [Float16(row), Float16(-Float(row) / 2), 1] {
        withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
      }
    }
    return bytes
  }
}
