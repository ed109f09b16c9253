import Glibc

/// Okapi BM25 ("The Probabilistic Relevance Framework: BM25 and Beyond", Robertson and Zaragoza,
/// 2009) over the caller's ids: finds names and rare words that a vector blurs. What a term is, is
/// up to the caller, who cuts texts into them; the same ids as in a `VectorIndex` make the two one
/// hybrid search (`RankFusion`).
///
/// A value: copies are independent, and one that is not changed may be searched from many threads.
public struct TextIndex: Sendable {
  public struct Options: Sendable, Hashable {
    /// How soon a repeated term stops counting.
    public var k1: Double
    /// How much a text's length counts, 0…1.
    public var b: Double

    public init(k1: Double = 1.5, b: Double = 0.75) {
      self.k1 = k1
      self.b = b
    }
  }

  public struct Match: Sendable, Hashable {
    public var id: UInt64
    public var score: Double
  }

  struct Posting: BitwiseCopyable {
    var slot: UInt32
    var count: UInt32
  }

  struct Document: Sendable {
    var id: UInt64
    /// Terms, repetitions included.
    var length: UInt32
    /// Each once.
    var terms: [UInt64]
  }

  /// Documents: slots are 32 bits.
  public static let documentsMax = Int(UInt32.max) - 1

  public let options: Options
  private(set) var documents: [Document?] = []
  private var slots: [UInt64: UInt32] = [:]
  private var postings: [UInt64: [Posting]] = [:]
  /// How many terms are in so many documents.
  private var termsFoundIn: [Int: Int] = [:]
  private var free: [UInt32] = []
  private var totalLength = 0

  public init(options: Options = Options()) { self.options = options }

  public var count: Int { slots.count }

  public func contains(_ id: UInt64) -> Bool { slots[id] != nil }

  /// - Throws: `.duplicateID`, `.full`.
  public mutating func add(_ terms: [String], id: UInt64) throws(VectorIndexError) {
    try add(hashes: terms.map { Self.hash($0.utf8) }, id: id)
  }

  /// Terms that were hashed by `hash`.
  package mutating func add(hashes: [UInt64], id: UInt64) throws(VectorIndexError) {
    guard slots[id] == nil else { throw .duplicateID(id) }
    var counts: [(term: UInt64, count: UInt32)] = []
    for term in hashes.sorted() {
      if counts.last?.term == term {
        counts[counts.count - 1].count += 1
      } else {
        counts.append((term, 1))
      }
    }
    try insert(counts, length: hashes.count, id: id)
  }

  mutating func insert(_ counts: [(term: UInt64, count: UInt32)], length: Int, id: UInt64)
    throws(VectorIndexError)
  {
    guard slots.count < Self.documentsMax else { throw .full }
    let slot = free.popLast() ?? UInt32(documents.count)
    let document = Document(
      id: id, length: UInt32(clamping: length), terms: counts.map(\.term))
    if Int(slot) == documents.count {
      documents.append(document)
    } else {
      documents[Int(slot)] = document
    }
    slots[id] = slot
    totalLength += Int(document.length)
    for (term, count) in counts {
      postings[term, default: []].append(Posting(slot: slot, count: count))
      let found = postings[term]!.count
      countTerm(found - 1, -1)
      countTerm(found, 1)
    }
  }

  private mutating func countTerm(_ found: Int, _ change: Int) {
    guard found > 0 else { return }
    let terms = termsFoundIn[found, default: 0] + change
    termsFoundIn[found] = terms == 0 ? nil : terms
  }

  /// Takes a document out; the weights of its terms are those without it from then on. Whether the
  /// id was there.
  @discardableResult
  public mutating func remove(id: UInt64) -> Bool {
    guard let slot = slots.removeValue(forKey: id), let document = documents[Int(slot)] else {
      return false
    }
    for term in document.terms {
      guard var list = postings.removeValue(forKey: term) else { continue }
      countTerm(list.count, -1)
      list.removeAll { $0.slot == slot }
      countTerm(list.count, 1)
      if !list.isEmpty { postings[term] = list }
    }
    totalLength -= Int(document.length)
    documents[Int(slot)] = nil
    free.append(slot)
    return true
  }

  /// The documents that share a term with the query, best first; equal scores by id.
  /// - Parameter filter: which ids may be returned.
  public func search(_ terms: [String], limit: Int, filter: SearchFilter? = nil) -> [Match] {
    search(hashes: terms.map { Self.hash($0.utf8) }, limit: limit, filter: filter)
  }

  package func search(hashes: [UInt64], limit: Int, filter: SearchFilter? = nil) -> [Match] {
    guard limit > 0, count > 0 else { return [] }
    let meanLength = max(Double(totalLength) / Double(count), 1)
    var scores = [Double](repeating: 0, count: documents.count)
    var isMatch = [Bool](repeating: false, count: documents.count)
    var touched: [UInt32] = []
    // In order: sums depend on theirs. A term that the query repeats counts as often.
    for term in hashes.sorted() {
      guard let list = postings[term] else { continue }
      let weight = weight(found: list.count)
      for posting in list {
        guard let document = documents[Int(posting.slot)] else { continue }
        let frequency = Double(posting.count)
        let length = 1 - options.b + options.b * Double(document.length) / meanLength
        if !isMatch[Int(posting.slot)] { touched.append(posting.slot) }
        isMatch[Int(posting.slot)] = true
        scores[Int(posting.slot)] +=
          weight * frequency * (options.k1 + 1) / (frequency + options.k1 * length)
      }
    }
    var matches: [Match] = []
    for slot in touched {
      let id = documents[Int(slot)]!.id
      guard filter?.admits(id) ?? true else { continue }
      matches.append(Match(id: id, score: scores[Int(slot)]))
    }
    matches.sort { ($1.score, $0.id) < ($0.score, $1.id) }
    return Array(matches.prefix(limit))
  }

  /// A term in more than half of the documents has a negative weight by the formula; it gets this
  /// share of the mean weight instead, as is usual, and at least `weightMin`.
  private static let commonShare = 0.25
  private static let weightMin = 1e-3

  private func weight(found: Int) -> Double {
    let weight = Self.rawWeight(found: found, of: count)
    guard weight < 0 else { return max(weight, Self.weightMin) }
    // Terms by how many documents have them: few numbers, whatever the number of terms.
    var sum = 0.0
    for (found, terms) in termsFoundIn.sorted(by: { $0.key < $1.key }) {
      sum += Self.rawWeight(found: found, of: count) * Double(terms)
    }
    return max(Self.commonShare * sum / Double(max(postings.count, 1)), Self.weightMin)
  }

  /// The inverse document frequency of Robertson and Spärck Jones.
  private static func rawWeight(found: Int, of all: Int) -> Double {
    log((Double(all - found) + 0.5) / (Double(found) + 0.5))
  }

  /// FNV-1a of 64 bits, mixed: the same on every machine, and two of a million terms share one with
  /// a chance of three in a hundred million.
  package static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
    var value: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in bytes { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
    value = (value ^ (value >> 33)) &* 0xFF51_AFD7_ED55_8CCD
    value = (value ^ (value >> 33)) &* 0xC4CE_B9FE_1A85_EC53
    return value ^ (value >> 33)
  }

  // MARK: Files

  /// Postings of the document in `slot`, by term.
  func counts(_ slot: Int) -> [(term: UInt64, count: UInt32)] {
    guard let document = documents[slot] else { return [] }
    return document.terms.map { term in
      (term, postings[term]?.first { $0.slot == UInt32(slot) }?.count ?? 0)
    }
  }
}
