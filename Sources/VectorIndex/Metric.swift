/// How far apart two vectors are. Smaller is nearer in every case.
public enum Metric: UInt32, Sendable, CaseIterable {
  /// 1 − cos(a, b), in 0…2. Vectors are normalised when they are added; a zero vector has no
  /// direction and is refused.
  case cosine = 0
  /// 1 − Σ aᵢ·bᵢ, which may be negative.
  case innerProduct = 1
  /// Σ (aᵢ − bᵢ)²: the square of the Euclidean distance.
  case l2 = 2
}

/// One answer of a search.
public struct Neighbour: Sendable, Hashable {
  /// The caller's id of the row.
  public var id: UInt64
  /// By the index's metric; exact up to Float32 rounding.
  public var distance: Float

  public init(id: UInt64, distance: Float) {
    self.id = id
    self.distance = distance
  }
}
