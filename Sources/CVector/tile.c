// Every row against a tile of queries.
#include "batch.h"

#include <math.h>

// The same bits on every processor: no fused multiply-add may creep in.
#pragma STDC FP_CONTRACT OFF

CVX_INLINE float worst_of(const cvx_tile *tile, uint32_t number) {
  if (tile->found[number] < tile->wanted) return INFINITY;
  return cvx_key_distance(tile->nearest[(size_t)number * (tile->wanted + 1) + tile->wanted - 1]);
}

// `worst` is as precise as a key, so what equals it may still be before it by its slot.
static void take(const cvx_view *view, cvx_tile *tile, uint32_t number, uint32_t slot,
                 float distance) {
  if (!cvx_is_live(view->live, slot)) return;
  cvx_insert(tile->nearest + (size_t)number * (tile->wanted + 1), &tile->found[number],
             tile->wanted, cvx_key(distance, slot));
}

// By the kernel that compares rows with one query, a group of rows at a time.
static void scan_by_queries(const cvx_view *view, cvx_tile *tile, uint32_t from, uint32_t count) {
  uint32_t slots[CVX_GROUP];
  float distances[CVX_GROUP + 4];
  while (from < count) {
    uint32_t group = count - from < CVX_GROUP ? count - from : CVX_GROUP;
    for (uint32_t at = 0; at < group; at++) slots[at] = from + at;
    for (uint32_t number = 0; number < tile->count; number++) {
      cvx_distances(view, &tile->queries[number], slots, group, distances);
      float worst = worst_of(tile, number);
      for (uint32_t at = 0; at < group; at++) {
        if (!(distances[at] <= worst)) continue;
        take(view, tile, number, slots[at], distances[at]);
        worst = worst_of(tile, number);
      }
    }
    from += group;
  }
}

#if defined(__x86_64__)
#include <immintrin.h>

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#define BLOCK 4

// The four sums of four accumulators.
VNNI CVX_INLINE __m128i fold4(const __m512i *s) {
  __m512i ab =
      _mm512_add_epi32(_mm512_unpacklo_epi32(s[0], s[1]), _mm512_unpackhi_epi32(s[0], s[1]));
  __m512i cd =
      _mm512_add_epi32(_mm512_unpacklo_epi32(s[2], s[3]), _mm512_unpackhi_epi32(s[2], s[3]));
  __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
  __m256i half =
      _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

// Four rows against four queries: each line that is loaded is used four times.
VNNI CVX_INLINE void sums_of_block(const uint8_t *rows, size_t stride, const cvx_query *queries,
                                   uint32_t chunks, __m128i out[BLOCK]) {
  __m512i sums[BLOCK][BLOCK];
  for (int q = 0; q < BLOCK; q++)
    for (int r = 0; r < BLOCK; r++) sums[q][r] = _mm512_setzero_si512();
  for (uint32_t chunk = 0; chunk < chunks; chunk++) {
    size_t at = 64 * (size_t)chunk;
    __m512i row[BLOCK];
    for (int r = 0; r < BLOCK; r++) row[r] = _mm512_loadu_si512(rows + (size_t)r * stride + at);
    for (int q = 0; q < BLOCK; q++) {
      __m512i query = _mm512_load_si512(queries[q].codes + at);
      for (int r = 0; r < BLOCK; r++) sums[q][r] = _mm512_dpbusd_epi32(sums[q][r], row[r], query);
    }
  }
  for (int q = 0; q < BLOCK; q++) out[q] = fold4(sums[q]);
}

// As `finish` in distances.c, four rows at once.
VNNI CVX_INLINE __m128 distances4(const cvx_query *query, __m128i sums, __m128 scales,
                                  __m128 biases) {
  __m128 exact = _mm_cvtepi32_ps(_mm_sub_epi32(sums, _mm_set1_epi32(query->offset)));
  __m128 products = _mm_mul_ps(_mm_set1_ps(query->scale), exact);
  return _mm_add_ps(_mm_sub_ps(biases, _mm_mul_ps(scales, products)),
                    _mm_set1_ps(query->constant));
}

VNNI CVX_INLINE void scan_blocks(const cvx_view *view, cvx_tile *tile, uint32_t rows,
                                 uint32_t queries, uint32_t chunks) {
  float worst[CVX_TILE];
  for (uint32_t number = 0; number < queries; number++) worst[number] = worst_of(tile, number);
  for (uint32_t slot = 0; slot < rows; slot += BLOCK) {
    const uint8_t *codes = cvx_row(view, slot);
    // The next rows but some: the processor's own guess begins too late after each jump.
    for (uint32_t line = 0; line < chunks * BLOCK; line++)
      __builtin_prefetch(codes + 8 * BLOCK * (size_t)view->stride + 64 * line, 0, 2);
    __m256 factors = _mm256_loadu_ps((const float *)&view->factors[slot]);
    __m128 low = _mm256_castps256_ps128(factors), high = _mm256_extractf128_ps(factors, 1);
    __m128 scales = _mm_shuffle_ps(low, high, 0x88), biases = _mm_shuffle_ps(low, high, 0xDD);
    for (uint32_t first = 0; first < queries; first += BLOCK) {
      __m128i sums[BLOCK];
      sums_of_block(codes, view->stride, tile->queries + first, chunks, sums);
      for (uint32_t q = 0; q < BLOCK; q++) {
        uint32_t number = first + q;
        __m128 distances = distances4(&tile->queries[number], sums[q], scales, biases);
        __mmask8 good = _mm_cmp_ps_mask(distances, _mm_set1_ps(worst[number]), _CMP_LE_OQ);
        if (__builtin_expect(good == 0, 1)) continue;
        float each[BLOCK];
        _mm_storeu_ps(each, distances);
        for (uint32_t rest = good; rest; rest &= rest - 1) {
          uint32_t lane = (uint32_t)__builtin_ctz(rest);
          take(view, tile, number, slot + lane, each[lane]);
        }
        worst[number] = worst_of(tile, number);
      }
    }
  }
}

VNNI static void scan_vnni(const cvx_view *view, cvx_tile *tile, uint32_t count) {
  uint32_t rows = count / BLOCK * BLOCK, queries = tile->count / BLOCK * BLOCK;
  switch (view->stride / 64) {
    case 2: scan_blocks(view, tile, rows, queries, 2); break;
    case 4: scan_blocks(view, tile, rows, queries, 4); break;
    case 6: scan_blocks(view, tile, rows, queries, 6); break;
    case 12: scan_blocks(view, tile, rows, queries, 12); break;
    default: scan_blocks(view, tile, rows, queries, view->stride / 64);
  }
  // What is left over: the last rows for the queries of the blocks, all rows for the others.
  cvx_tile others = *tile;
  others.count = queries;
  scan_by_queries(view, &others, rows, count);
  memcpy(tile->found, others.found, queries * sizeof(uint32_t));
  for (uint32_t number = queries; number < tile->count; number++) {
    cvx_tile one = {.queries = tile->queries + number, .count = 1, .wanted = tile->wanted,
                    .nearest = tile->nearest + (size_t)number * (tile->wanted + 1)};
    scan_by_queries(view, &one, 0, count);
    tile->found[number] = one.found[0];
  }
}
#endif

void cvx_scan_tile(const cvx_view *view, cvx_tile *tile, uint32_t count) {
  memset(tile->found, 0, sizeof(tile->found));
#if defined(__x86_64__)
  if (cvector_level() >= CVECTOR_AVX512_VNNI) return scan_vnni(view, tile, count);
#endif
  scan_by_queries(view, tile, 0, count);
}
