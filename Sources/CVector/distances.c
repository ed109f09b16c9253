// Distances by 8-bit codes: a group of rows against one query a call, four rows at a time with
// the query's chunks shared. Sums are exact integers, so every kernel gives the same distances.
#include "lanes.h"

// The same bits on every processor: no fused multiply-add may creep in.
#pragma STDC FP_CONTRACT OFF

CVX_INLINE float finish(const cvx_view *view, const cvx_query *query, uint32_t slot,
                        int32_t sum) {
  cvx_factor factor = view->factors[slot];
  float product = query->scale * (float)(sum - query->offset);
  return (factor.bias - factor.scale * product) + query->constant;
}

// Asks for a row's factor, and for the beginning and the middle of its codes: the processor goes on
// from there.
CVX_INLINE void announce(const cvx_view *view, uint32_t slot) {
  const uint8_t *row = cvx_row(view, slot);
  __builtin_prefetch(row);
  __builtin_prefetch(row + view->stride / 128 * 64);
  __builtin_prefetch(&view->factors[slot]);
}

CVX_INLINE int32_t sum_portable(const uint8_t *row, const int8_t *query, size_t stride) {
  int32_t sum = 0;
  for (size_t at = 0; at < stride; at++) sum += (int32_t)row[at] * query[at];
  return sum;
}

static void distances_baseline(const cvx_view *view, const cvx_query *query,
                               const uint32_t *slots, uint32_t count, float *out) {
  for (uint32_t at = 0; at < count; at++) {
    int32_t sum = sum_portable(cvx_row(view, slots[at]), query->codes, view->stride);
    out[at] = finish(view, query, slots[at], sum);
  }
}

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2")))

// u8 · s8 pairs overflow the 16 bits of the one instruction made for them; widened, they cannot.
AVX2 static int32_t sum_avx2(const uint8_t *row, const int8_t *query, size_t stride) {
  __m256i sum0 = _mm256_setzero_si256(), sum1 = sum0;
  for (size_t at = 0; at < stride; at += 32) {
    __m256i r0 = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(row + at)));
    __m256i q0 = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(query + at)));
    __m256i r1 = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(row + at + 16)));
    __m256i q1 = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(query + at + 16)));
    sum0 = _mm256_add_epi32(sum0, _mm256_madd_epi16(r0, q0));
    sum1 = _mm256_add_epi32(sum1, _mm256_madd_epi16(r1, q1));
  }
  sum0 = _mm256_add_epi32(sum0, sum1);
  __m128i half =
      _mm_add_epi32(_mm256_castsi256_si128(sum0), _mm256_extracti128_si256(sum0, 1));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4E));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xB1));
  return _mm_cvtsi128_si32(half);
}

AVX2 static void distances_avx2(const cvx_view *view, const cvx_query *query,
                                const uint32_t *slots, uint32_t count, float *out) {
  for (uint32_t at = 0; at < count; at++) {
    int32_t sum = sum_avx2(cvx_row(view, slots[at]), query->codes, view->stride);
    out[at] = finish(view, query, slots[at], sum);
  }
}

CVX_VNNI CVX_INLINE __m512i step(__m512i sum, const uint8_t *row, __m512i query) {
  return _mm512_dpbusd_epi32(sum, _mm512_loadu_si512(row), query);
}

// `chunks` is a constant where this is inlined for the usual widths, so that the loop unrolls and
// the query stays in registers. Where `ahead` is not 0, so many more slots follow the last, and rows
// are asked for that long before their turn.
CVX_VNNI CVX_INLINE void distances_vnni_of(const cvx_view *view, const cvx_query *query,
                                       const uint32_t *slots, uint32_t count, float *out,
                                       uint32_t chunks, uint32_t ahead) {
  for (uint32_t at = 0; at < count; at += 4) {
    uint32_t last = ahead ? at + 3 : count - 1;
    const uint32_t s[4] = {slots[at], slots[at + 1 < last ? at + 1 : last],
                           slots[at + 2 < last ? at + 2 : last],
                           slots[at + 3 < last ? at + 3 : last]};
    if (ahead)
      for (uint32_t lane = 0; lane < 4; lane++) announce(view, slots[at + ahead + lane]);
    const uint8_t *r0 = cvx_row(view, s[0]), *r1 = cvx_row(view, s[1]);
    const uint8_t *r2 = cvx_row(view, s[2]), *r3 = cvx_row(view, s[3]);
    __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
    for (uint32_t chunk = 0; chunk < chunks; chunk++) {
      __m512i q = _mm512_load_si512(query->codes + 64 * chunk);
      a = step(a, r0 + 64 * chunk, q);
      b = step(b, r1 + 64 * chunk, q);
      c = step(c, r2 + 64 * chunk, q);
      d = step(d, r3 + 64 * chunk, q);
    }
    __m128i sums = _mm_sub_epi32(cvx_fold4(a, b, c, d), _mm_set1_epi32(query->offset));
    _mm_storeu_ps(out + at, cvx_finish4(view->factors, query, s, sums));
  }
}

CVX_VNNI CVX_INLINE void distances_vnni_any(const cvx_view *view, const cvx_query *query,
                                        const uint32_t *slots, uint32_t count, float *out,
                                        uint32_t ahead) {
  switch (view->stride / 64) {
    case 2: return distances_vnni_of(view, query, slots, count, out, 2, ahead);
    case 4: return distances_vnni_of(view, query, slots, count, out, 4, ahead);
    case 6: return distances_vnni_of(view, query, slots, count, out, 6, ahead);
    case 8: return distances_vnni_of(view, query, slots, count, out, 8, ahead);
    case 12: return distances_vnni_of(view, query, slots, count, out, 12, ahead);
    case 16: return distances_vnni_of(view, query, slots, count, out, 16, ahead);
    default:
      return distances_vnni_of(view, query, slots, count, out, view->stride / 64, ahead);
  }
}

// Writes up to three floats behind the last: `out` has room for CVX_GROUP + 4.
CVX_VNNI static void distances_vnni(const cvx_view *view, const cvx_query *query,
                                const uint32_t *slots, uint32_t count, float *out) {
  if (count > 0) distances_vnni_any(view, query, slots, count, out, 0);
}

CVX_VNNI static void scan_vnni(const cvx_view *view, const cvx_query *query, const uint32_t *slots,
                           uint32_t count, float *out) {
  distances_vnni_any(view, query, slots, count, out, CVX_AHEAD);
}
#elif defined(__aarch64__)
// The codes without their offset of 128, as signed bytes, four rows at a time with the query's
// chunks shared: `step` adds the products of sixteen bytes to four sums.
#define ROWS_NEON(NAME, TARGET, STEP)                                                            \
  TARGET static void NAME(const cvx_view *view, const cvx_query *query, const uint32_t *slots,   \
                          uint32_t count, float *out) {                                          \
    const uint8x16_t offset = vdupq_n_u8(0x80);                                                  \
    for (uint32_t at = 0; at < count; at += 4) {                                                 \
      const uint8_t *rows[4];                                                                    \
      int32x4_t sums[4];                                                                         \
      for (uint32_t lane = 0; lane < 4; lane++) {                                                \
        rows[lane] = cvx_row(view, slots[at + lane < count ? at + lane : count - 1]);            \
        sums[lane] = vdupq_n_s32(0);                                                             \
      }                                                                                          \
      for (size_t chunk = 0; chunk < view->stride; chunk += 16) {                                \
        int8x16_t part = vld1q_s8(query->codes + chunk);                                         \
        for (uint32_t lane = 0; lane < 4; lane++) {                                              \
          uint8x16_t row = veorq_u8(vld1q_u8(rows[lane] + chunk), offset);                       \
          sums[lane] = STEP(sums[lane], vreinterpretq_s8_u8(row), part);                         \
        }                                                                                        \
      }                                                                                          \
      for (uint32_t lane = 0; lane < 4 && at + lane < count; lane++)                             \
        out[at + lane] = finish(view, query, slots[at + lane],                                   \
                                vaddvq_s32(sums[lane]) + query->offset);                         \
    }                                                                                            \
  }

ROWS_NEON(distances_neon, , cvx_step_neon)
ROWS_NEON(distances_neon_dot, __attribute__((target("dotprod"))), vdotq_s32)
#endif

cvx_distances_kernel cvx_distances = distances_baseline;

static cvx_distances_kernel kernel_at(int level) {
#if defined(__x86_64__)
  if (level >= CVECTOR_AVX512_VNNI) return distances_vnni;
  if (level >= CVECTOR_AVX2_FMA) return distances_avx2;
#elif defined(__aarch64__)
  if (level >= CVECTOR_NEON_DOT) return distances_neon_dot;
  if (level >= CVECTOR_NEON) return distances_neon;
#endif
  (void)level;
  return distances_baseline;
}

void cvx_choose_distances(int level) { cvx_distances = kernel_at(level); }

// By the kernel of `level`, which compares a group while the next one's rows come from memory.
static void scan_groups(int level, const cvx_view *view, const cvx_query *query,
                        const uint32_t *slots, uint32_t count, float *out) {
  for (uint32_t from = 0; from < count; from += CVX_AHEAD) {
    uint32_t group = count - from < CVX_AHEAD ? count - from : CVX_AHEAD;
    for (uint32_t at = 0; at < CVX_AHEAD; at++) announce(view, slots[from + group + at]);
    float distances[CVX_AHEAD + 4];
    kernel_at(level)(view, query, slots + from, group, distances);
    memcpy(out + from, distances, group * sizeof(float));
  }
}

static void scan_at(int level, const cvx_view *view, const cvx_query *query, uint32_t *slots,
                    uint32_t count, float *out) {
  if (count == 0) return;
  for (uint32_t at = 0; at < CVX_AHEAD + 4; at++) slots[count + at] = slots[count - 1];
#if defined(__x86_64__)
  if (level >= CVECTOR_AVX512_VNNI) return scan_vnni(view, query, slots, count, out);
#endif
  scan_groups(level, view, query, slots, count, out);
}

void cvx_scan_distances(const cvx_view *view, const cvx_query *query, uint32_t *slots,
                        uint32_t count, float *out) {
  scan_at(cvector_level(), view, query, slots, count, out);
}

typedef void (*scan_kernel)(int level, const cvx_view *, const cvx_query *, uint32_t *slots,
                            uint32_t count, float *out);

// A distance with a bias of 0 is the sum less the offset, negated; below 2^24 a float holds it, so
// the query comes in parts.
static void sums_by(scan_kernel kernel, int level, const uint8_t *codes, size_t stride,
                    uint32_t count, const int8_t *query, int32_t *sums) {
  int8_t part[CVX_STRIDE_MAX] __attribute__((aligned(64)));
  cvx_factor factors[CVX_GROUP];
  uint32_t slots[CVX_GROUP + CVX_AHEAD + 4];
  float out[CVX_GROUP + CVX_AHEAD + 4];
  cvx_view view = {.stride = (uint32_t)stride, .codes = (uint8_t *)(uintptr_t)codes,
                   .factors = factors};
  cvx_query parts = {.codes = part, .scale = -1};
  for (uint32_t at = 0; at < count; at++) {
    factors[at] = (cvx_factor){1, 0};
    slots[at] = at;
    sums[at] = 0;
  }
  for (size_t from = 0; from < stride; from += 512) {
    memset(part, 0, stride);
    size_t length = stride - from < 512 ? stride - from : 512;
    memcpy(part + from, query + from, length);
    parts.offset = 0;
    for (size_t at = 0; at < length; at++) parts.offset += 128 * part[from + at];
    kernel(level, &view, &parts, slots, count, out);
    for (uint32_t at = 0; at < count; at++) sums[at] += (int32_t)out[at] + parts.offset;
  }
}

static void group_at(int level, const cvx_view *view, const cvx_query *query, uint32_t *slots,
                     uint32_t count, float *out) {
  kernel_at(level)(view, query, slots, count, out);
}

void cvx_code_sums(int level, const uint8_t *codes, size_t stride, uint32_t count,
                   const int8_t *query, int32_t *sums) {
  sums_by(group_at, level, codes, stride, count, query, sums);
}

void cvx_scan_sums(int level, const uint8_t *codes, size_t stride, uint32_t count,
                   const int8_t *query, int32_t *sums) {
  sums_by(scan_at, level, codes, stride, count, query, sums);
}
