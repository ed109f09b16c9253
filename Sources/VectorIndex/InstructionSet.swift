import CVector

/// Sets of instructions that have kernels of their own.
package enum InstructionSet: String, CaseIterable, Sendable {
  case baseline
  case neon
  case avx2
  case avx512f
  case avx512vnni

  /// What the kernels' C code calls it.
  var level: Int32 {
    switch self {
    case .baseline: Int32(CVECTOR_BASELINE)
    case .neon: Int32(CVECTOR_NEON)
    case .avx2: Int32(CVECTOR_AVX2_FMA)
    case .avx512f: Int32(CVECTOR_AVX512F)
    case .avx512vnni: Int32(CVECTOR_AVX512_VNNI)
    }
  }
}

extension VectorIndex {
  /// The instructions that this process computes distances with, as they were chosen at start.
  public static var instructionSet: String {
    let level = cvector_level()
    return (InstructionSet.allCases.first { $0.level == level } ?? .baseline).rawValue
  }

  /// Uses nothing wider from now on: for comparisons. To be called before the first index exists.
  package static func limitInstructions(to set: InstructionSet) {
    cvector_limit_level(set.level)
  }
}
