import Glibc

/// What a file says about itself: read from its header and two small sections, which are verified;
/// nothing else is.
public struct IndexFileSummary: Sendable {
  public struct Section: Sendable {
    public var name: String
    public var bytes: Int
  }

  public var options: VectorIndex.Options
  /// Rows, also those of removed ids.
  public var nodes: Int
  public var attributes: IndexAttributes
  public var bytes: Int
  public var sections: [Section]
  /// Of the journal beside it; nil without one.
  public var journalBytes: Int?

  /// - Throws: `.file`, with what is wrong.
  public init(of path: String) throws(VectorIndexError) {
    do throws(IndexFileError) {
      let source = try IndexFileSource(opening: path)
      let header = try IndexFileOptions(
        decoding: source.read(
          source.section(
            IndexSection.options.rawValue, IndexSection.options.name,
            bytes: IndexFileOptions.bytes), IndexSection.options.name))
      options = header.options
      nodes = header.nodes
      let name = IndexSection.attributes.name
      let section = try source.section(IndexSection.attributes.rawValue, name)
      guard section.bytes <= IndexAttributes.bytesMax + 4096 else {
        throw IndexFileError.inconsistent(name)
      }
      var sequence: UInt64 = 0
      let encoded = try source.read(section, name)
      guard let decoded = IndexAttributes(decoding: encoded, sequence: &sequence) else {
        throw IndexFileError.inconsistent(name)
      }
      attributes = decoded
      bytes = source.table.fileBytes
      sections = source.table.sections.map {
        Section(
          name: IndexSection(rawValue: $0.kind)?.name ?? "section \($0.kind)", bytes: $0.bytes)
      }
    } catch { throw .file(error) }
    var status = stat()
    let hasJournal = stat(JournaledIndex.journalPath(path), &status) == 0
    journalBytes = hasJournal ? Int(status.st_size) : nil
  }
}
