// What the kernels for AVX-512, and those for NEON, share.
#ifndef CVECTOR_LANES_H
#define CVECTOR_LANES_H

#include "graph.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define CVX_VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))

/// The four sums of four accumulators.
CVX_VNNI CVX_INLINE __m128i cvx_fold4(__m512i a, __m512i b, __m512i c, __m512i d) {
  __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
  __m256i half =
      _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

/// Distances of the rows `s` from their sums, in whole numbers and without offset, and `factors`.
CVX_VNNI CVX_INLINE __m128 cvx_finish4(const cvx_factor *f, const cvx_query *query,
                                       const uint32_t s[4], __m128i sums) {
  __m128 f01 = _mm_loadh_pi(_mm_loadl_pi(_mm_setzero_ps(), (const __m64 *)&f[s[0]]),
                            (const __m64 *)&f[s[1]]);
  __m128 f23 = _mm_loadh_pi(_mm_loadl_pi(_mm_setzero_ps(), (const __m64 *)&f[s[2]]),
                            (const __m64 *)&f[s[3]]);
  __m128 scales = _mm_shuffle_ps(f01, f23, 0x88), biases = _mm_shuffle_ps(f01, f23, 0xDD);
  __m128 products = _mm_mul_ps(_mm_set1_ps(query->scale), _mm_cvtepi32_ps(sums));
  return _mm_add_ps(_mm_sub_ps(biases, _mm_mul_ps(scales, products)),
                    _mm_set1_ps(query->constant));
}
#elif defined(__aarch64__)
#include <arm_neon.h>

/// Adds the products of sixteen bytes to four sums: one of two signed bytes fits 16 bits, the sum of
/// two need not.
CVX_INLINE int32x4_t cvx_step_neon(int32x4_t sum, int8x16_t row, int8x16_t query) {
  sum = vpadalq_s16(sum, vmull_s8(vget_low_s8(row), vget_low_s8(query)));
  return vpadalq_s16(sum, vmull_high_s8(row, query));
}
#endif

#endif
