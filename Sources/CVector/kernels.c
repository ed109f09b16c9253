#include "graph.h"

typedef float (*kernel)(const float *, const float *, size_t);

// Sixteen partial sums keep the rounding error of long vectors near that of a pairwise sum, and
// let the compiler use whatever registers the baseline of the target has (SSE2, NEON).
#define LANES 16

static float fold(const float sums[LANES]) {
  float half[LANES / 2];
  for (int lane = 0; lane < LANES / 2; lane++) half[lane] = sums[lane] + sums[lane + LANES / 2];
  for (int width = LANES / 4; width > 0; width /= 2)
    for (int lane = 0; lane < width; lane++) half[lane] += half[lane + width];
  return half[0];
}

static float dot_baseline(const float *a, const float *b, size_t count) {
  float sums[LANES] = {0};
  size_t at = 0;
  for (; at + LANES <= count; at += LANES)
    for (int lane = 0; lane < LANES; lane++) sums[lane] += a[at + lane] * b[at + lane];
  for (int lane = 0; at < count; at++, lane++) sums[lane] += a[at] * b[at];
  return fold(sums);
}

static float l2_baseline(const float *a, const float *b, size_t count) {
  float sums[LANES] = {0};
  size_t at = 0;
  for (; at + LANES <= count; at += LANES)
    for (int lane = 0; lane < LANES; lane++) {
      float difference = a[at + lane] - b[at + lane];
      sums[lane] += difference * difference;
    }
  for (int lane = 0; at < count; at++, lane++) {
    float difference = a[at] - b[at];
    sums[lane] += difference * difference;
  }
  return fold(sums);
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx2,fma"))) static float sum_avx2(__m256 sum) {
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

__attribute__((target("avx2,fma"))) static float dot_avx2(const float *a, const float *b,
                                                          size_t count) {
  __m256 sum0 = _mm256_setzero_ps(), sum1 = sum0, sum2 = sum0, sum3 = sum0;
  size_t at = 0;
  for (; at + 32 <= count; at += 32) {
    sum0 = _mm256_fmadd_ps(_mm256_loadu_ps(a + at), _mm256_loadu_ps(b + at), sum0);
    sum1 = _mm256_fmadd_ps(_mm256_loadu_ps(a + at + 8), _mm256_loadu_ps(b + at + 8), sum1);
    sum2 = _mm256_fmadd_ps(_mm256_loadu_ps(a + at + 16), _mm256_loadu_ps(b + at + 16), sum2);
    sum3 = _mm256_fmadd_ps(_mm256_loadu_ps(a + at + 24), _mm256_loadu_ps(b + at + 24), sum3);
  }
  for (; at + 8 <= count; at += 8)
    sum0 = _mm256_fmadd_ps(_mm256_loadu_ps(a + at), _mm256_loadu_ps(b + at), sum0);
  float tail = 0;
  for (; at < count; at++) tail += a[at] * b[at];
  return sum_avx2(_mm256_add_ps(_mm256_add_ps(sum0, sum1), _mm256_add_ps(sum2, sum3))) + tail;
}

__attribute__((target("avx2,fma"))) static __m256 square_avx2(const float *a, const float *b,
                                                              __m256 sum) {
  __m256 difference = _mm256_sub_ps(_mm256_loadu_ps(a), _mm256_loadu_ps(b));
  return _mm256_fmadd_ps(difference, difference, sum);
}

__attribute__((target("avx2,fma"))) static float l2_avx2(const float *a, const float *b,
                                                         size_t count) {
  __m256 sum0 = _mm256_setzero_ps(), sum1 = sum0, sum2 = sum0, sum3 = sum0;
  size_t at = 0;
  for (; at + 32 <= count; at += 32) {
    sum0 = square_avx2(a + at, b + at, sum0);
    sum1 = square_avx2(a + at + 8, b + at + 8, sum1);
    sum2 = square_avx2(a + at + 16, b + at + 16, sum2);
    sum3 = square_avx2(a + at + 24, b + at + 24, sum3);
  }
  for (; at + 8 <= count; at += 8) sum0 = square_avx2(a + at, b + at, sum0);
  float tail = 0;
  for (; at < count; at++) tail += (a[at] - b[at]) * (a[at] - b[at]);
  return sum_avx2(_mm256_add_ps(_mm256_add_ps(sum0, sum1), _mm256_add_ps(sum2, sum3))) + tail;
}

// The last, partial step loads under a mask: lanes past the end are never touched.
__attribute__((target("avx512f"))) static float dot_avx512(const float *a, const float *b,
                                                           size_t count) {
  __m512 sum0 = _mm512_setzero_ps(), sum1 = sum0, sum2 = sum0, sum3 = sum0;
  size_t at = 0;
  for (; at + 64 <= count; at += 64) {
    sum0 = _mm512_fmadd_ps(_mm512_loadu_ps(a + at), _mm512_loadu_ps(b + at), sum0);
    sum1 = _mm512_fmadd_ps(_mm512_loadu_ps(a + at + 16), _mm512_loadu_ps(b + at + 16), sum1);
    sum2 = _mm512_fmadd_ps(_mm512_loadu_ps(a + at + 32), _mm512_loadu_ps(b + at + 32), sum2);
    sum3 = _mm512_fmadd_ps(_mm512_loadu_ps(a + at + 48), _mm512_loadu_ps(b + at + 48), sum3);
  }
  for (; at < count; at += 16) {
    __mmask16 mask = count - at >= 16 ? 0xFFFF : (__mmask16)((1u << (count - at)) - 1);
    sum0 = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, a + at),
                           _mm512_maskz_loadu_ps(mask, b + at), sum0);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sum0, sum1), _mm512_add_ps(sum2, sum3)));
}

__attribute__((target("avx512f"))) static __m512 square_avx512(const float *a, const float *b,
                                                               __mmask16 mask, __m512 sum) {
  __m512 difference =
      _mm512_sub_ps(_mm512_maskz_loadu_ps(mask, a), _mm512_maskz_loadu_ps(mask, b));
  return _mm512_fmadd_ps(difference, difference, sum);
}

__attribute__((target("avx512f"))) static float l2_avx512(const float *a, const float *b,
                                                          size_t count) {
  __m512 sum0 = _mm512_setzero_ps(), sum1 = sum0, sum2 = sum0, sum3 = sum0;
  size_t at = 0;
  for (; at + 64 <= count; at += 64) {
    sum0 = square_avx512(a + at, b + at, 0xFFFF, sum0);
    sum1 = square_avx512(a + at + 16, b + at + 16, 0xFFFF, sum1);
    sum2 = square_avx512(a + at + 32, b + at + 32, 0xFFFF, sum2);
    sum3 = square_avx512(a + at + 48, b + at + 48, 0xFFFF, sum3);
  }
  for (; at < count; at += 16) {
    __mmask16 mask = count - at >= 16 ? 0xFFFF : (__mmask16)((1u << (count - at)) - 1);
    sum0 = square_avx512(a + at, b + at, mask, sum0);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sum0, sum1), _mm512_add_ps(sum2, sum3)));
}

static const kernel dots[] = {dot_baseline, dot_avx2, dot_avx512, dot_avx512};
static const kernel squares[] = {l2_baseline, l2_avx2, l2_avx512, l2_avx512};
#elif defined(__aarch64__)
#include <arm_neon.h>

static float dot_neon(const float *a, const float *b, size_t count) {
  float32x4_t sum0 = vdupq_n_f32(0), sum1 = sum0, sum2 = sum0, sum3 = sum0;
  size_t at = 0;
  for (; at + 16 <= count; at += 16) {
    sum0 = vfmaq_f32(sum0, vld1q_f32(a + at), vld1q_f32(b + at));
    sum1 = vfmaq_f32(sum1, vld1q_f32(a + at + 4), vld1q_f32(b + at + 4));
    sum2 = vfmaq_f32(sum2, vld1q_f32(a + at + 8), vld1q_f32(b + at + 8));
    sum3 = vfmaq_f32(sum3, vld1q_f32(a + at + 12), vld1q_f32(b + at + 12));
  }
  for (; at + 4 <= count; at += 4) sum0 = vfmaq_f32(sum0, vld1q_f32(a + at), vld1q_f32(b + at));
  float tail = 0;
  for (; at < count; at++) tail += a[at] * b[at];
  return vaddvq_f32(vaddq_f32(vaddq_f32(sum0, sum1), vaddq_f32(sum2, sum3))) + tail;
}

static float32x4_t square_neon(const float *a, const float *b, float32x4_t sum) {
  float32x4_t difference = vsubq_f32(vld1q_f32(a), vld1q_f32(b));
  return vfmaq_f32(sum, difference, difference);
}

static float l2_neon(const float *a, const float *b, size_t count) {
  float32x4_t sum0 = vdupq_n_f32(0), sum1 = sum0, sum2 = sum0, sum3 = sum0;
  size_t at = 0;
  for (; at + 16 <= count; at += 16) {
    sum0 = square_neon(a + at, b + at, sum0);
    sum1 = square_neon(a + at + 4, b + at + 4, sum1);
    sum2 = square_neon(a + at + 8, b + at + 8, sum2);
    sum3 = square_neon(a + at + 12, b + at + 12, sum3);
  }
  for (; at + 4 <= count; at += 4) sum0 = square_neon(a + at, b + at, sum0);
  float tail = 0;
  for (; at < count; at++) tail += (a[at] - b[at]) * (a[at] - b[at]);
  return vaddvq_f32(vaddq_f32(vaddq_f32(sum0, sum1), vaddq_f32(sum2, sum3))) + tail;
}

static const kernel dots[] = {dot_baseline, dot_baseline, dot_baseline,
                              dot_baseline, dot_neon,     dot_neon};
static const kernel squares[] = {l2_baseline, l2_baseline, l2_baseline,
                                 l2_baseline, l2_neon,     l2_neon};
#else
static const kernel dots[] = {dot_baseline};
static const kernel squares[] = {l2_baseline};
#endif

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

// The bit of AT_HWCAP that says so (arch/arm64/include/uapi/asm/hwcap.h).
#define HAS_DOT_PRODUCTS (1ul << 20)
#endif

static int level = CVECTOR_BASELINE;

// Before main: whoever computes a distance finds the choice made, on any thread.
__attribute__((constructor)) static void choose_level(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) level = CVECTOR_AVX2_FMA;
  if (level == CVECTOR_AVX2_FMA && __builtin_cpu_supports("avx512f")) {
    level = CVECTOR_AVX512F;
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd") &&
        __builtin_cpu_supports("avx512vnni"))
      level = CVECTOR_AVX512_VNNI;
  }
#elif defined(__aarch64__)
  level = CVECTOR_NEON;
#if defined(__linux__)
  if (getauxval(AT_HWCAP) & HAS_DOT_PRODUCTS) level = CVECTOR_NEON_DOT;
#endif
#endif
  cvector_limit_level(level);
}

void cvector_limit_level(int wanted) {
  level = wanted < level ? wanted : level;
  cvx_choose_distances(level);
  cvx_choose_exact(level);
  cvx_choose_fine(level);
  cvx_choose_nibbles(level);
  cvx_choose_pool(level);
  cvx_choose_visit(level);
}

int cvector_level(void) { return level; }

float cvector_dot_f32(const float *a, const float *b, size_t count) {
  return dots[level](a, b, count);
}

float cvector_l2_f32(const float *a, const float *b, size_t count) {
  return squares[level](a, b, count);
}

float cvector_dot_f32_at(int wanted, const float *a, const float *b, size_t count) {
  return dots[wanted](a, b, count);
}

float cvector_l2_f32_at(int wanted, const float *a, const float *b, size_t count) {
  return squares[wanted](a, b, count);
}
