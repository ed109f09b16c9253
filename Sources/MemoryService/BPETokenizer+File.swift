import Base

extension BPETokenizer {
  /// Bounds of a `tokenizer.json`; the largest in use have 256,000 tokens.
  private static let tokensMax = 1_000_000
  private static let mergesMax = 2_000_000

  /// Reads a `tokenizer.json` of type BPE without pre-tokenizer. No tree is built of it: 1.8 MB
  /// are scanned once for each part that is wanted.
  package init(path: String) throws(MemoryError) {
    let file = try MappedFile(path: path)
    do throws(Reader.Failure) {
      self = try file.withBytes { (bytes) throws(Reader.Failure) in
        try Reader(scanner: JSONScanner(bytes)).read()
      }
    } catch { throw .malformed(path: path, reason: error.reason) }
  }

  /// Reads the same from memory.
  package init(parsing json: [UInt8]) throws(MemoryError) {
    let result = json.withUnsafeBytes { bytes -> Result<BPETokenizer, Reader.Failure> in
      do throws(Reader.Failure) {
        return .success(try Reader(scanner: JSONScanner(bytes)).read())
      } catch { return .failure(error) }
    }
    switch result {
    case .success(let tokenizer): self = tokenizer
    case .failure(let failure): throw .malformed(path: "tokenizer", reason: failure.reason)
    }
  }

  private struct Reader {
    struct Failure: Error { var reason: String }

    let scanner: JSONScanner
    private var bytes: UnsafeRawBufferPointer { scanner.bytes }

    init(scanner: JSONScanner) { self.scanner = scanner }

    func read() throws(Failure) -> BPETokenizer {
      let whole = 0..<bytes.count
      guard let model = scanner.member("model", in: whole),
        let type = scanner.member("type", in: model), scanner.string(type) == "BPE"
      else { throw Failure(reason: "not a tokenizer whose model.type is BPE") }
      if let preTokenizer = scanner.member("pre_tokenizer", in: whole),
        !scanner.isNull(preTokenizer)
      {
        throw Failure(reason: "pre_tokenizer is set; only models without one are supported")
      }
      let vocabulary = try readVocabulary(model)
      return BPETokenizer(
        specials: try readSpecials(whole), unknown: vocabulary.unknown,
        scalars: ScalarTable(vocabulary.scalars), bytes: vocabulary.bytes,
        merges: try readMerges(model, vocabulary.texts))
    }

    private struct Vocabulary {
      var texts: TokenTexts
      var scalars: [(scalar: Unicode.Scalar, id: UInt32)] = []
      var bytes = [UInt32](repeating: BPETokenizer.noToken, count: 256)
      var unknown: UInt32 = 0
    }

    private func readVocabulary(_ model: Range<Int>) throws(Failure) -> Vocabulary {
      guard let range = scanner.member("vocab", in: model) else {
        throw Failure(reason: "model.vocab is missing")
      }
      var count = 0
      scanner.members(in: range) { _, _ in
        count += 1
        return count <= BPETokenizer.tokensMax
      }
      guard (1...BPETokenizer.tokensMax).contains(count) else {
        throw Failure(reason: "model.vocab has no token, or more than \(BPETokenizer.tokensMax)")
      }
      var vocabulary = Vocabulary(texts: TokenTexts(capacity: count))
      var broken: String?
      let isWhole = scanner.members(in: range) { name, value in
        guard let id = scanner.integer(value), id >= 0, id < Int64(BPETokenizer.noToken),
          withText(name, { add($0, id: UInt32(id), to: &vocabulary) }) != nil
        else {
          broken = "model.vocab, byte \(name.lowerBound): not a token with its id"
          return false
        }
        return true
      }
      guard isWhole, broken == nil else {
        throw Failure(reason: broken ?? "model.vocab is damaged")
      }
      if let unknown = scanner.member("unk_token", in: model), !scanner.isNull(unknown) {
        let id = withText(unknown.dropFirst().dropLast()) { vocabulary.texts.id(of: $0) }
        guard let id = id ?? nil else {
          throw Failure(reason: "unk_token is not in the vocabulary")
        }
        vocabulary.unknown = id
      }
      return vocabulary
    }

    private func add(
      _ text: UnsafeRawBufferPointer, id: UInt32, to vocabulary: inout Vocabulary
    ) {
      vocabulary.texts.insert(text, id: id)
      if text.count <= 4 {
        let scalars = String(decoding: text, as: UTF8.self).unicodeScalars
        if scalars.count == 1 { vocabulary.scalars.append((scalars.first!, id)) }
      } else if text.count == 6, text.starts(with: Array("<0x".utf8)), text[5] == 0x3E,
        let high = Hex.value(of: text[3]), let low = Hex.value(of: text[4])
      {
        vocabulary.bytes[Int(high << 4 | low)] = id
      }
    }

    private func readMerges(_ model: Range<Int>, _ texts: TokenTexts) throws(Failure)
      -> MergeTable
    {
      guard let range = scanner.member("merges", in: model) else {
        throw Failure(reason: "model.merges is missing")
      }
      var count = 0
      scanner.items(in: range) { _ in
        count += 1
        return count <= BPETokenizer.mergesMax
      }
      guard count <= BPETokenizer.mergesMax else {
        throw Failure(reason: "more than \(BPETokenizer.mergesMax) merges")
      }
      var table = MergeTable(capacity: count)
      var rank: UInt32 = 0
      var broken: Int?
      scanner.items(in: range) { item in
        let merged = withText(item.dropFirst().dropLast()) { text in
          insert(text, rank: rank, texts, into: &table)
        }
        guard merged == true else {
          broken = item.lowerBound
          return false
        }
        rank += 1
        return true
      }
      if let broken {
        throw Failure(
          reason: "model.merges, byte \(broken): not \"left right\" of tokens in the vocabulary")
      }
      return table
    }

    /// `left right` → the token `leftright`; false when one of the three is unknown.
    private func insert(
      _ text: UnsafeRawBufferPointer, rank: UInt32, _ texts: TokenTexts,
      into table: inout MergeTable
    ) -> Bool {
      guard let space = text.firstIndex(of: 0x20) else { return false }
      let left = UnsafeRawBufferPointer(rebasing: text[..<space])
      let right = UnsafeRawBufferPointer(rebasing: text[(space + 1)...])
      guard let leftID = texts.id(of: left), let rightID = texts.id(of: right) else {
        return false
      }
      let joined = Array(left) + Array(right)
      guard let id = joined.withUnsafeBytes({ texts.id(of: $0) }) else { return false }
      table.insert(leftID, rightID, MergeTable.Merge(rank: rank, id: id))
      return true
    }

    private func readSpecials(_ whole: Range<Int>) throws(Failure) -> [Special] {
      guard let range = scanner.member("added_tokens", in: whole) else { return [] }
      var specials: [Special] = []
      var isWhole = true
      scanner.items(in: range) { item in
        guard let content = scanner.member("content", in: item).flatMap(scanner.string),
          content.utf8.first == UInt8(ascii: "<"),
          let id = scanner.member("id", in: item).flatMap(scanner.integer),
          let word = UInt32(exactly: id)
        else {
          isWhole = false
          return false
        }
        specials.append(Special(literal: Array(content.utf8), id: word))
        return true
      }
      guard isWhole else { throw Failure(reason: "added_tokens: each needs id and <content>") }
      return specials
    }

    /// Calls `body` with the text of a JSON string, given without its quotes; nil when it is
    /// none. Strings without escapes are not copied.
    private func withText<Value>(
      _ range: Range<Int>, _ body: (UnsafeRawBufferPointer) -> Value
    ) -> Value? {
      guard range.lowerBound > 0, bytes[range.lowerBound - 1] == UInt8(ascii: "\"") else {
        return nil
      }
      let raw = UnsafeRawBufferPointer(rebasing: bytes[range])
      guard raw.contains(UInt8(ascii: "\\")) else { return body(raw) }
      return JSONText.unescape(bytes, range).map { $0.withUnsafeBytes(body) }
    }
  }
}
