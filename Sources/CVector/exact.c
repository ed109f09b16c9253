// Distances by all bits of a row: what is returned to the caller.
#include "graph.h"

CVX_INLINE float exact_portable(const uint8_t *codes, const int8_t *residuals, float fine,
                                const float *z, size_t dimension, int is_product) {
  float sums[16] = {0};
  for (size_t at = 0; at < dimension; at++) {
    float y = (float)(((int)codes[at] - 128) * 256 + (residuals ? residuals[at] : 0)) * fine;
    float difference = y - z[at];
    sums[at & 15] += is_product ? y * z[at] : difference * difference;
  }
  for (int width = 8; width > 0; width /= 2)
    for (int lane = 0; lane < width; lane++) sums[lane] += sums[lane + width];
  return sums[0];
}

static float exact_baseline(const uint8_t *codes, const int8_t *residuals, float fine,
                            const float *z, size_t dimension, int is_product) {
  return exact_portable(codes, residuals, fine, z, dimension, is_product);
}

#if defined(__x86_64__)
#include <immintrin.h>

#define WIDE __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define AVX2 __attribute__((target("avx2,fma")))

WIDE CVX_INLINE __m512 row16(const uint8_t *codes, const int8_t *residuals, __mmask16 mask) {
  __m512i code = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, codes));
  __m512i value = _mm512_slli_epi32(_mm512_sub_epi32(code, _mm512_set1_epi32(128)), 8);
  if (residuals)
    value = _mm512_add_epi32(value, _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, residuals)));
  return _mm512_cvtepi32_ps(value);
}

WIDE CVX_INLINE __m512 exact16(const uint8_t *codes, const int8_t *residuals, __m512 fine,
                               const float *z, __mmask16 mask, int is_product, __m512 sum) {
  __m512 y = row16(codes, residuals, mask), query = _mm512_maskz_loadu_ps(mask, z);
  if (is_product) return _mm512_fmadd_ps(_mm512_mul_ps(y, fine), query, sum);
  __m512 difference = _mm512_maskz_fmsub_ps(mask, y, fine, query);
  return _mm512_fmadd_ps(difference, difference, sum);
}

WIDE CVX_INLINE float exact_wide(const uint8_t *codes, const int8_t *residuals, float fine,
                                 const float *z, size_t dimension, int is_product) {
  __m512 sum0 = _mm512_setzero_ps(), sum1 = sum0, scale = _mm512_set1_ps(fine);
  size_t at = 0;
  for (; at + 32 <= dimension; at += 32) {
    sum0 = exact16(codes + at, residuals ? residuals + at : 0, scale, z + at, 0xFFFF,
                   is_product, sum0);
    sum1 = exact16(codes + at + 16, residuals ? residuals + at + 16 : 0, scale, z + at + 16,
                   0xFFFF, is_product, sum1);
  }
  for (; at < dimension; at += 16) {
    size_t rest = dimension - at;
    __mmask16 mask = rest >= 16 ? 0xFFFF : (__mmask16)((1u << rest) - 1);
    sum0 = exact16(codes + at, residuals ? residuals + at : 0, scale, z + at, mask, is_product,
                   sum0);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(sum0, sum1));
}

WIDE static float exact_avx512(const uint8_t *codes, const int8_t *residuals, float fine,
                               const float *z, size_t dimension, int is_product) {
  if (is_product) return exact_wide(codes, residuals, fine, z, dimension, 1);
  if (residuals) return exact_wide(codes, residuals, fine, z, dimension, 0);
  return exact_wide(codes, 0, fine, z, dimension, 0);
}

AVX2 static float exact_avx2(const uint8_t *codes, const int8_t *residuals, float fine,
                             const float *z, size_t dimension, int is_product) {
  if (is_product) return exact_portable(codes, residuals, fine, z, dimension, 1);
  if (residuals) return exact_portable(codes, residuals, fine, z, dimension, 0);
  return exact_portable(codes, 0, fine, z, dimension, 0);
}
#elif defined(__aarch64__)
#include <arm_neon.h>

// Eight components, in steps of 1/256 of the scale.
CVX_INLINE void row8(const uint8_t *codes, const int8_t *residuals, float32x4_t out[2]) {
  int8x8_t code = vreinterpret_s8_u8(veor_u8(vld1_u8(codes), vdup_n_u8(0x80)));
  int16x8_t wide = vmovl_s8(code);
  int32x4_t low = vshll_n_s16(vget_low_s16(wide), 8), high = vshll_n_s16(vget_high_s16(wide), 8);
  if (residuals) {
    int16x8_t more = vmovl_s8(vld1_s8(residuals));
    low = vaddw_s16(low, vget_low_s16(more));
    high = vaddw_s16(high, vget_high_s16(more));
  }
  out[0] = vcvtq_f32_s32(low);
  out[1] = vcvtq_f32_s32(high);
}

CVX_INLINE float32x4_t add4(float32x4_t sum, float32x4_t y, float fine, const float *z,
                            int is_product) {
  float32x4_t scaled = vmulq_n_f32(y, fine), query = vld1q_f32(z);
  if (is_product) return vfmaq_f32(sum, scaled, query);
  float32x4_t difference = vsubq_f32(scaled, query);
  return vfmaq_f32(sum, difference, difference);
}

static float exact_neon(const uint8_t *codes, const int8_t *residuals, float fine,
                        const float *z, size_t dimension, int is_product) {
  float32x4_t sums[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)}, y[4];
  size_t at = 0;
  for (; at + 16 <= dimension; at += 16) {
    row8(codes + at, residuals ? residuals + at : 0, y);
    row8(codes + at + 8, residuals ? residuals + at + 8 : 0, y + 2);
    for (int part = 0; part < 4; part++)
      sums[part] = add4(sums[part], y[part], fine, z + at + 4 * part, is_product);
  }
  float tail = exact_portable(codes + at, residuals ? residuals + at : 0, fine, z + at,
                              dimension - at, is_product);
  return vaddvq_f32(vaddq_f32(vaddq_f32(sums[0], sums[1]), vaddq_f32(sums[2], sums[3]))) + tail;
}
#endif

typedef float (*exact_kernel)(const uint8_t *, const int8_t *, float, const float *, size_t, int);

static exact_kernel kernel_at(int level) {
#if defined(__x86_64__)
  if (level >= CVECTOR_AVX512_VNNI) return exact_avx512;
  if (level >= CVECTOR_AVX2_FMA) return exact_avx2;
#elif defined(__aarch64__)
  if (level >= CVECTOR_NEON) return exact_neon;
#endif
  (void)level;
  return exact_baseline;
}

static exact_kernel exact = exact_baseline;

void cvx_choose_exact(int level) { exact = kernel_at(level); }

float cvx_exact_sum(int level, const uint8_t *codes, const int8_t *residuals, float scale,
                    const float *z, size_t dimension, int is_product) {
  return kernel_at(level)(codes, residuals, scale / 256, z, dimension, is_product);
}

float cvx_exact(const cvx_view *view, const cvx_query *query, uint32_t slot) {
  const int8_t *residuals =
      view->residuals ? view->residuals + (size_t)slot * view->stride : 0;
  cvx_factor factor = view->factors[slot];
  int is_product = view->metric == CVX_INNER_PRODUCT;
  float sum = exact(cvx_row(view, slot), residuals, factor.scale / 256, query->exact,
                    view->dimension, is_product);
  if (is_product) return (factor.bias - sum) + query->constant;
  return view->metric == CVX_COSINE ? sum / 2 : sum;
}
