// Distances by 4-bit codes: the upper halves of the 8-bit ones, two to a byte. A walk looks at many
// rows to put few in order; half the bytes a row are half the memory it waits for. What it leaves is
// measured again by 8 bits (`cvx_settle`). Sums are exact integers, so every kernel gives the same
// distances.
#include "lanes.h"

// The same bits on every processor: no fused multiply-add may creep in.
#pragma STDC FP_CONTRACT OFF

// A byte holds component i in its lower half and component i + 64 in its upper one, in blocks of 128.
#define BLOCK 128

// A code stands for the middle of the codes it is short for: 16 · nibble + 7.5 − 128. Twice that is
// an integer, 32 · nibble − 241.
#define TWICE_STEP 32
#define TWICE_OFFSET 241

uint32_t cvx_nibble_stride(uint32_t stride) { return (stride + BLOCK - 1) / BLOCK * (BLOCK / 2); }

// With e the difference of the short row from the row y, |y + e − q|² is |y − q|² + 2(y − q)·e + |e|².
// The last is known and goes into the bias: what is left of the error is small for near rows.
// Under inner product the bias has no part of the codes. Returns what the bias loses, in steps.
CVX_INLINE int32_t shorten(const uint8_t *codes, uint32_t stride, uint32_t dimension,
                           uint8_t *nibbles) {
  for (uint32_t from = 0; from < stride; from += BLOCK) {
    int is_half = from + BLOCK / 2 >= stride;
    for (uint32_t at = 0; at < BLOCK / 2; at++) {
      uint8_t upper = is_half ? 0 : codes[from + BLOCK / 2 + at] & 0xF0;
      nibbles[from / 2 + at] = (uint8_t)(codes[from + at] >> 4 | upper);
    }
  }
  int32_t lost = 0;
  for (uint32_t at = 0; at < dimension; at++)
    lost += ((int)codes[at] - 128) * (2 * (codes[at] & 15) - 15);
  return lost;
}

static int32_t shorten_baseline(const uint8_t *codes, uint32_t stride, uint32_t dimension,
                                uint8_t *nibbles) {
  return shorten(codes, stride, dimension, nibbles);
}

#if defined(__x86_64__)
#define WIDE __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))

WIDE static int32_t shorten_wide(const uint8_t *codes, uint32_t stride, uint32_t dimension,
                                 uint8_t *nibbles) {
  return shorten(codes, stride, dimension, nibbles);
}
#endif

void cvx_shorten(const cvx_view *view, uint32_t slot) {
  if (!view->nibbles) return;
  const uint8_t *codes = cvx_row(view, slot);
  uint8_t *nibbles = view->nibbles + (size_t)slot * view->nibble_stride;
  cvx_factor factor = view->factors[slot];
  int32_t lost;
#if defined(__x86_64__)
  if (cvector_level() >= CVECTOR_AVX512_VNNI)
    lost = shorten_wide(codes, view->stride, view->dimension, nibbles);
  else
#endif
    lost = shorten_baseline(codes, view->stride, view->dimension, nibbles);
  if (view->metric == CVX_INNER_PRODUCT) lost = 0;
  double square = (double)factor.scale * (double)factor.scale;
  float bias = (float)((double)factor.bias - square * (double)lost);
  view->nibble_factors[slot] = (cvx_factor){factor.scale / 2, bias};
}

CVX_INLINE const uint8_t *row_of(const cvx_view *view, uint32_t slot) {
  return view->nibbles + (size_t)slot * view->nibble_stride;
}

// What a query adds to twice the sum of a row: 241 for each of its codes.
CVX_INLINE int32_t offset_of(const cvx_query *query) { return query->offset / 128 * TWICE_OFFSET; }

CVX_INLINE float finish(const cvx_view *view, const cvx_query *query, uint32_t slot, int32_t sum) {
  cvx_factor factor = view->nibble_factors[slot];
  float product = query->scale * (float)(TWICE_STEP * sum - offset_of(query));
  return (factor.bias - factor.scale * product) + query->constant;
}

CVX_INLINE int32_t sum_portable(const uint8_t *row, const int8_t *query, uint32_t stride) {
  int32_t sum = 0;
  for (uint32_t from = 0; from < stride; from += BLOCK)
    for (uint32_t at = 0; at < BLOCK / 2; at++) {
      uint8_t pair = row[from / 2 + at];
      sum += (pair & 15) * query[from + at];
      if (from + BLOCK / 2 < stride) sum += (pair >> 4) * query[from + BLOCK / 2 + at];
    }
  return sum;
}

static void nibbles_baseline(const cvx_view *view, const cvx_query *query, const uint32_t *slots,
                             uint32_t count, float *out) {
  for (uint32_t at = 0; at < count; at++) {
    int32_t sum = sum_portable(row_of(view, slots[at]), query->codes, view->stride);
    out[at] = finish(view, query, slots[at], sum);
  }
}

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2")))

// The products of 32 nibbles with 32 bytes, in pairs of at most 2 · 15 · 127: eight such fit 16 bits.
AVX2 CVX_INLINE __m256i pairs(__m256i nibbles, const int8_t *query) {
  return _mm256_maddubs_epi16(nibbles, _mm256_loadu_si256((const __m256i *)(const void *)query));
}

AVX2 static int32_t sum_avx2(const uint8_t *row, const int8_t *query, uint32_t stride) {
  const __m256i low = _mm256_set1_epi8(15), one = _mm256_set1_epi16(1);
  __m256i sum = _mm256_setzero_si256();
  for (uint32_t from = 0; from < stride; from += BLOCK) {
    int is_half = from + BLOCK / 2 >= stride;
    __m256i part = _mm256_setzero_si256();
    for (uint32_t at = 0; at < BLOCK / 2; at += 32) {
      __m256i both = _mm256_loadu_si256((const __m256i *)(const void *)(row + from / 2 + at));
      part = _mm256_add_epi16(part, pairs(_mm256_and_si256(both, low), query + from + at));
      __m256i upper = _mm256_and_si256(_mm256_srli_epi16(both, 4), low);
      if (!is_half)
        part = _mm256_add_epi16(part, pairs(upper, query + from + BLOCK / 2 + at));
    }
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(part, one));
  }
  __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4E));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xB1));
  return _mm_cvtsi128_si32(half);
}

AVX2 static void nibbles_avx2(const cvx_view *view, const cvx_query *query, const uint32_t *slots,
                              uint32_t count, float *out) {
  for (uint32_t at = 0; at < count; at++) {
    int32_t sum = sum_avx2(row_of(view, slots[at]), query->codes, view->stride);
    out[at] = finish(view, query, slots[at], sum);
  }
}

// The products of a row's block with the query's two chunks; the second is 0 for half a block.
CVX_VNNI CVX_INLINE __m512i step(__m512i sum, const uint8_t *row, __m512i first, __m512i second) {
  const __m512i low = _mm512_set1_epi8(15);
  __m512i both = _mm512_loadu_si512(row);
  sum = _mm512_dpbusd_epi32(sum, _mm512_and_si512(both, low), first);
  return _mm512_dpbusd_epi32(sum, _mm512_and_si512(_mm512_srli_epi16(both, 4), low), second);
}

// `chunks` is a constant where this is inlined for the usual widths.
CVX_VNNI CVX_INLINE void nibbles_vnni_of(const cvx_view *view, const cvx_query *query,
                                         const uint32_t *slots, uint32_t count, float *out,
                                         uint32_t chunks) {
  uint32_t last = count - 1;
  for (uint32_t at = 0; at < count; at += 4) {
    const uint32_t s[4] = {slots[at], slots[at + 1 < last ? at + 1 : last],
                           slots[at + 2 < last ? at + 2 : last],
                           slots[at + 3 < last ? at + 3 : last]};
    const uint8_t *r0 = row_of(view, s[0]), *r1 = row_of(view, s[1]);
    const uint8_t *r2 = row_of(view, s[2]), *r3 = row_of(view, s[3]);
    __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
    for (uint32_t chunk = 0; chunk < chunks; chunk += 2) {
      __m512i first = _mm512_load_si512(query->codes + 64 * chunk), second = _mm512_setzero_si512();
      if (chunk + 1 < chunks) second = _mm512_load_si512(query->codes + 64 * (chunk + 1));
      a = step(a, r0 + 32 * chunk, first, second);
      b = step(b, r1 + 32 * chunk, first, second);
      c = step(c, r2 + 32 * chunk, first, second);
      d = step(d, r3 + 32 * chunk, first, second);
    }
    __m128i twice = _mm_sub_epi32(_mm_slli_epi32(cvx_fold4(a, b, c, d), 5),
                                  _mm_set1_epi32(offset_of(query)));
    _mm_storeu_ps(out + at, cvx_finish4(view->nibble_factors, query, s, twice));
  }
}

// Writes up to three floats behind the last: `out` has room for CVX_GROUP + 4.
CVX_VNNI static void nibbles_vnni(const cvx_view *view, const cvx_query *query,
                                  const uint32_t *slots, uint32_t count, float *out) {
  if (count == 0) return;
  switch (view->stride / 64) {
    case 2: return nibbles_vnni_of(view, query, slots, count, out, 2);
    case 4: return nibbles_vnni_of(view, query, slots, count, out, 4);
    case 6: return nibbles_vnni_of(view, query, slots, count, out, 6);
    case 8: return nibbles_vnni_of(view, query, slots, count, out, 8);
    case 12: return nibbles_vnni_of(view, query, slots, count, out, 12);
    case 16: return nibbles_vnni_of(view, query, slots, count, out, 16);
    default: return nibbles_vnni_of(view, query, slots, count, out, view->stride / 64);
  }
}
#elif defined(__aarch64__)
// Two halves of sixteen bytes with as many of the query's two chunks; `STEP` adds the products of
// sixteen bytes to four sums.
#define NIBBLES_NEON(NAME, TARGET, STEP)                                                          \
  TARGET static int32_t NAME##_sum(const uint8_t *row, const int8_t *query, uint32_t stride) {    \
    const uint8x16_t low = vdupq_n_u8(15);                                                        \
    int32x4_t sum = vdupq_n_s32(0);                                                               \
    for (uint32_t from = 0; from < stride; from += BLOCK)                                         \
      for (uint32_t at = 0; at < BLOCK / 2; at += 16) {                                           \
        uint8x16_t both = vld1q_u8(row + from / 2 + at);                                          \
        int8x16_t lower = vreinterpretq_s8_u8(vandq_u8(both, low));                               \
        int8x16_t upper = vreinterpretq_s8_u8(vshrq_n_u8(both, 4));                               \
        sum = STEP(sum, lower, vld1q_s8(query + from + at));                                      \
        if (from + BLOCK / 2 < stride)                                                            \
          sum = STEP(sum, upper, vld1q_s8(query + from + BLOCK / 2 + at));                        \
      }                                                                                           \
    return vaddvq_s32(sum);                                                                       \
  }                                                                                               \
  static void NAME(const cvx_view *view, const cvx_query *query, const uint32_t *slots,           \
                   uint32_t count, float *out) {                                                  \
    for (uint32_t at = 0; at < count; at++)                                                       \
      out[at] = finish(view, query, slots[at],                                                    \
                       NAME##_sum(row_of(view, slots[at]), query->codes, view->stride));          \
  }

NIBBLES_NEON(nibbles_neon, , cvx_step_neon)
NIBBLES_NEON(nibbles_neon_dot, __attribute__((target("dotprod"))), vdotq_s32)
#endif

cvx_distances_kernel cvx_nibble_distances = nibbles_baseline;

static cvx_distances_kernel kernel_at(int level) {
#if defined(__x86_64__)
  if (level >= CVECTOR_AVX512_VNNI) return nibbles_vnni;
  if (level >= CVECTOR_AVX2_FMA) return nibbles_avx2;
#elif defined(__aarch64__)
  if (level >= CVECTOR_NEON_DOT) return nibbles_neon_dot;
  if (level >= CVECTOR_NEON) return nibbles_neon;
#endif
  (void)level;
  return nibbles_baseline;
}

void cvx_choose_nibbles(int level) { cvx_nibble_distances = kernel_at(level); }

void cvx_nibble_rows(int level, const cvx_view *view, const cvx_query *query,
                     const uint32_t *slots, uint32_t count, float *out) {
  kernel_at(level)(view, query, slots, count, out);
}
