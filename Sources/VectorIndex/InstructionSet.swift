import CVector

extension VectorIndex {
  /// The instructions that this process computes distances with, as they were chosen at start.
  public static var instructionSet: String {
    switch Int(cvector_level()) {
    case CVECTOR_AVX512_VNNI: "avx512vnni"
    case CVECTOR_AVX512F: "avx512f"
    case CVECTOR_AVX2_FMA: "avx2"
    default: "baseline"
    }
  }
}
