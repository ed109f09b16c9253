import Glibc

/// Why an index refuses; every case says what was found and what is wanted.
public enum VectorIndexError: Error, Hashable, Sendable {
  /// A parameter outside its range, named as in the API.
  case parameterOutOfRange(name: String, value: Int, range: ClosedRange<Int>)
  /// A vector of another length than the index's dimension.
  case dimensionMismatch(expected: Int, actual: Int)
  /// NaN or infinity at `position` of the vector.
  case componentNotFinite(position: Int)
  /// Components so large that a distance could overflow Float32.
  case magnitudeTooLarge
  /// No direction: refused under `Metric.cosine`.
  case zeroVector
  /// `add` of an id that is present; `upsert` replaces.
  case duplicateID(UInt64)
  /// Rows, ids or room for answers in numbers that do not fit each other.
  case countMismatch(name: String, expected: Int, actual: Int)
  /// The task that waited for the work was cancelled; nothing was changed or kept.
  case cancelled
  /// No room for another row; the limit is `VectorIndex.rowsMax`.
  case full
  /// A file that cannot be read, written or believed.
  case file(IndexFileError)
}

/// What is wrong with an index file.
public enum IndexFileError: Error, Hashable, Sendable {
  /// The first bytes are not those of an index.
  case notAnIndex
  /// Written in another format than this library reads.
  case versionUnsupported(UInt32)
  /// Fewer or more bytes than the header announces.
  case sizeMismatch(expected: Int, actual: Int)
  /// Damage: the bytes of `section` do not fit their checksum.
  case checksumMismatch(section: String)
  /// The checksums fit, but the content contradicts itself.
  case inconsistent(String)
  /// Rows of several tenants: `TenantedIndex` opens it.
  case tenanted
  /// Rows that belong to no tenant: `VectorIndex` opens it.
  case notTenanted
  /// A write or flush of the journal failed before; reopen the index.
  case journalBroken
  /// A system call failed with `errno`.
  case system(call: String, path: String, errno: Int32)
}

extension VectorIndexError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .parameterOutOfRange(let name, let value, let range):
      "\(name) is \(value); it must be in \(range.lowerBound)…\(range.upperBound)"
    case .dimensionMismatch(let expected, let actual):
      "the vector has \(actual) components; this index holds vectors of \(expected)"
    case .componentNotFinite(let position):
      "component \(position) of the vector is NaN or infinite"
    case .magnitudeTooLarge: "the vector is too long: distances to it would overflow Float32"
    case .zeroVector: "a zero vector has no direction; cosine cannot compare it"
    case .duplicateID(let id): "id \(id) is in the index already; upsert replaces it"
    case .countMismatch(let name, let expected, let actual):
      "\(name): \(actual) given, \(expected) wanted"
    case .cancelled: "cancelled before it was done"
    case .full: "the index holds \(VectorIndex.rowsMax) rows, which is its limit"
    case .file(let error): error.description
    }
  }
}

extension IndexFileError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .notAnIndex: "not a vector index file"
    case .versionUnsupported(let version):
      "format version \(version) is not the one this library reads; rebuild the index"
    case .sizeMismatch(let expected, let actual):
      "the file has \(actual) bytes, its header announces \(expected); rebuild the index"
    case .checksumMismatch(let section):
      "the \(section) section is damaged; rebuild the index"
    case .inconsistent(let reason): "the content contradicts itself: \(reason); rebuild the index"
    case .tenanted: "holds the rows of several tenants; it is opened as a TenantedIndex"
    case .notTenanted: "holds rows of no tenant; it is opened as a VectorIndex"
    case .journalBroken:
      "a write to the journal failed, and what is on the disk is not known; open the index anew"
    case .system(let call, let path, let errno):
      "\(call) \(path): \(String(cString: strerror(errno)))"
    }
  }
}
