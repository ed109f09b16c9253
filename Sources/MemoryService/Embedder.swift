/// Turns text into a vector whose direction is its meaning, as far as the embedder knows it.
/// Used from the loop and from side threads at once.
package protocol Embedder: AnyObject, Sendable {
  /// Names the algorithm and its version; part of an index's name (SEMANTICS D31).
  var id: String { get }
  /// SHA-256 of the weights, 64 hexadecimal digits; of nothing where there are none.
  var weightsDigest: String { get }
  var dimension: Int { get }

  /// A vector of length 1, or zeros for text that has nothing in it to embed.
  func embed(_ text: String) -> [Float]

  /// Called after many texts: memory that was only needed for them may go.
  func releaseMemory()
}

extension Embedder {
  package func releaseMemory() {}
}

/// Scales to length 1; zeros stay.
func normalise(_ vector: inout [Float]) {
  var squares: Float = 0
  for value in vector { squares += value * value }
  guard squares > 0, squares.isFinite else { return }
  let scale = 1 / squares.squareRoot()
  for index in vector.indices { vector[index] *= scale }
}

/// Σ aᵢ·bᵢ; of two vectors of length 1, the cosine of their angle.
func dotProduct(_ left: [Float], _ right: [Float]) -> Float {
  var sum: Float = 0
  for index in 0..<min(left.count, right.count) { sum += left[index] * right[index] }
  return sum
}
