import CVector
import Glibc

/// A file whose pages are the arrays of a store; kept open so that it can be read whole later,
/// whatever has its name by then.
final class MappedOrigin {
  private let file: IndexFileAccess

  init(path: String) throws(IndexFileError) {
    file = try IndexFileAccess(opening: path, flags: O_RDONLY)
  }

  var path: String { file.reopenPath }
}

extension GraphStore {
  /// Takes the nodes of a mapped file: which are live, without binding their ids; what is wrong,
  /// or nil.
  func restoreMapped(_ shape: [UInt8], from origin: MappedOrigin) -> String? {
    mappedFrom = origin
    var squares: Float = 0
    for value in centre { squares += value * value }
    view.pointee.mean_square = squares
    guard squares.isFinite else { return "a mean that is not finite" }
    // Whether ids are the slots' numbers is not known without reading them all.
    cvx_set_ids_are_slots(view, 0)
    let met = IndexSection.tombstoneBit | IndexSection.freeBit
    var removed: UInt32 = 0
    for (slot, byte) in shape.enumerated() {
      if byte & IndexSection.tombstoneBit == 0 { cvx_set_live(view, UInt32(slot), 1) }
      // What the file says of a free slot is not verified here: `cvx_rerank` looks again.
      if byte & met == IndexSection.tombstoneBit { removed += 1 }
    }
    cvx_set_removed_count(view, removed)
    guard count == 0 || Int(entry) < count else { return "entry point \(entry) of \(count) nodes" }
    return nil
  }

  /// Looks at every id: a mapped store has no table of them.
  func mappedSlot(of id: UInt64) -> UInt32? {
    (0..<UInt32(count)).first { isLive($0) && self.id($0) == id }
  }
}
