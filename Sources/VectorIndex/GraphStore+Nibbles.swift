import CVector

/// The upper halves of a store's codes, by which walks go where they tell rows apart: half the memory
/// that a walk waits for. They are made of the codes, so no file holds them.
final class ShortCodes {
  let nibbles: ArraySpace<UInt8>
  let factors: ArraySpace<cvx_factor>
  private let stride: Int

  /// Bytes that a row must save, or measuring the candidates once more costs as much.
  private static let savedMin = 128

  /// Whether rows are long enough to gain by it.
  static func pay(stride: Int) -> Bool {
    Int(cvx_nibble_stride(UInt32(stride))) + savedMin <= stride
  }

  /// Nil where the process may not have that much address space.
  init?(stride codeStride: Int, rows: Int) {
    stride = Int(cvx_nibble_stride(UInt32(codeStride)))
    guard
      let nibbles = ArraySpace<UInt8>(reserving: rows * stride),
      let factors = ArraySpace<cvx_factor>(reserving: rows)
    else { return nil }
    (self.nibbles, self.factors) = (nibbles, factors)
  }

  func pageToPrepare(beyond slots: Int) -> UnsafeMutableRawPointer? {
    nibbles.pageToPrepare(beyond: slots * stride) ?? factors.pageToPrepare(beyond: slots)
  }
}

extension GraphStore {
  /// Bytes of codes that are near the processor anyhow.
  private static let nearBytes = 4 << 20
  /// It is asked again whether nibbles do when one in so many rows has come since.
  private static let judgedShare = 16

  /// Makes the nibbles of all rows, which came as codes.
  func shortenAll() {
    for slot in 0..<UInt32(count) { cvx_shorten(view, slot) }
  }

  /// Asks whether walks may go by nibbles, when enough rows have come.
  func judgeNibbles(added rows: Int, scratch: InsertScratch) {
    unjudged += rows
    if unjudged * Self.judgedShare >= count { judgeNibbles(scratch: scratch) }
  }

  /// Asks it now: a store that is saved goes on as the one that is loaded from the file.
  func judgeNibbles(scratch: InsertScratch) {
    guard short != nil, mappedFrom == nil else { return }
    unjudged = 0
    let isFar = count * Int(view.pointee.stride) > Self.nearBytes
    let areSharp = isFar && cvx_are_nibbles_sharp(view, scratch.memory, UInt32(count), entry) != 0
    cvx_set_by_nibbles(view, areSharp ? 1 : 0)
  }
}
