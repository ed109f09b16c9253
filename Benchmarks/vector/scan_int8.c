// The floor for batches and filters: brute force over int8 rows with VNNI where the machine has it,
// candidates re-ranked on Float32. No graph, no cleverness beyond tiles that stay in the cache.
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __AVX512VNNI__
#include <immintrin.h>
#endif

typedef struct {
  const float *rows;
  int8_t *codes;
  int32_t *sums;
  float *squares, scale;
  long count, dimension, stride;
  int is_l2;
} Scan;

typedef struct {
  float key;
  int32_t row;
} Found;

static int8_t code(float value, float scale) {
  float scaled = rintf(value * scale);
  return (int8_t)(scaled > 127 ? 127 : scaled < -127 ? -127 : scaled);
}

Scan *scan_prepare(const float *rows, long count, long dimension, int is_l2) {
  Scan *scan = calloc(1, sizeof *scan);
  scan->rows = rows, scan->count = count, scan->dimension = dimension, scan->is_l2 = is_l2;
  scan->stride = (dimension + 63) / 64 * 64;
  scan->codes = aligned_alloc(64, (size_t)(count * scan->stride));
  memset(scan->codes, 0, (size_t)(count * scan->stride));
  scan->sums = calloc((size_t)count, sizeof(int32_t));
  scan->squares = calloc((size_t)count, sizeof(float));
  float largest = 1e-30f;
  for (long at = 0; at < count * dimension; at++)
    if (fabsf(rows[at]) > largest) largest = fabsf(rows[at]);
  scan->scale = 127 / largest;
  for (long row = 0; row < count; row++)
    for (long at = 0; at < dimension; at++) {
      float value = rows[row * dimension + at];
      int8_t c = code(value, scan->scale);
      scan->codes[row * scan->stride + at] = c;
      scan->sums[row] += c, scan->squares[row] += value * value;
    }
  return scan;
}

// Σ (q + 128)·c over whole lines; 128·Σc is taken off by the caller.
static int32_t dot(const uint8_t *query, const int8_t *codes, long stride) {
#ifdef __AVX512VNNI__
  __m512i sum = _mm512_setzero_si512();
  for (long at = 0; at < stride; at += 64)
    sum = _mm512_dpbusd_epi32(sum, _mm512_load_si512(query + at), _mm512_load_si512(codes + at));
  return _mm512_reduce_add_epi32(sum);
#else
  int32_t sum = 0;
  for (long at = 0; at < stride; at++) sum += (int32_t)query[at] * codes[at];
  return sum;
#endif
}

static void offer(Found *best, long *count, long limit, float key, int32_t row) {
  if (*count == limit && key >= best[limit - 1].key) return;
  long at = *count < limit ? (*count)++ : limit - 1;
  while (at > 0 && best[at - 1].key > key) best[at] = best[at - 1], at--;
  best[at] = (Found){key, row};
}

static float query_codes(const Scan *scan, const float *query, uint8_t *codes) {
  float largest = 1e-30f;
  for (long at = 0; at < scan->dimension; at++)
    if (fabsf(query[at]) > largest) largest = fabsf(query[at]);
  float scale = 127 / largest;
  memset(codes, 128, (size_t)scan->stride);
  for (long at = 0; at < scan->dimension; at++)
    codes[at] = (uint8_t)(code(query[at], scale) + 128);
  return 1 / (scale * scan->scale);
}

static float key_of(const Scan *scan, const uint8_t *codes, float unit, long row) {
  int32_t sum = dot(codes, scan->codes + row * scan->stride, scan->stride);
  float product = (float)(sum - 128 * scan->sums[row]) * unit;
  return scan->is_l2 ? scan->squares[row] - 2 * product : -product;
}

static void rerank(const Scan *scan, const float *query, Found *best, long count, long k,
                   int32_t *ids) {
  Found *exact = malloc(sizeof(Found) * (size_t)(k + 1));
  long kept = 0;
  for (long at = 0; at < count; at++) {
    const float *row = scan->rows + (long)best[at].row * scan->dimension;
    float product = 0;
    for (long i = 0; i < scan->dimension; i++) product += row[i] * query[i];
    float key = scan->is_l2 ? scan->squares[best[at].row] - 2 * product : -product;
    offer(exact, &kept, k, key, best[at].row);
  }
  for (long at = 0; at < k; at++) ids[at] = at < kept ? exact[at].row : -1;
  free(exact);
}

enum { TILE_QUERIES = 16, TILE_ROWS = 64 };

void scan_batch(const Scan *scan, const float *queries, long count, long k, int32_t *ids) {
  long limit = 2 * k + 10;
  uint8_t *codes = aligned_alloc(64, (size_t)(TILE_QUERIES * scan->stride));
  Found *best = malloc(sizeof(Found) * (size_t)(limit * TILE_QUERIES));
  for (long first = 0; first < count; first += TILE_QUERIES) {
    long tile = count - first < TILE_QUERIES ? count - first : TILE_QUERIES;
    float units[TILE_QUERIES];
    long kept[TILE_QUERIES] = {0};
    for (long q = 0; q < tile; q++)
      units[q] = query_codes(scan, queries + (first + q) * scan->dimension,
                             codes + q * scan->stride);
    for (long row = 0; row < scan->count; row += TILE_ROWS) {
      long end = row + TILE_ROWS < scan->count ? row + TILE_ROWS : scan->count;
      for (long q = 0; q < tile; q++)
        for (long at = row; at < end; at++)
          offer(best + q * limit, &kept[q], limit,
                key_of(scan, codes + q * scan->stride, units[q], at), (int32_t)at);
    }
    for (long q = 0; q < tile; q++)
      rerank(scan, queries + (first + q) * scan->dimension, best + q * limit, kept[q], k,
             ids + (first + q) * k);
  }
  free(codes), free(best);
}

// One query after the other, over the rows whose byte in `allow` is not 0; the list of them is made
// for every query, as whoever has a new mask each time would.
void scan_allowed(const Scan *scan, const float *queries, long count, long k, const uint8_t *allow,
                  int32_t *ids) {
  long limit = 2 * k + 10;
  uint8_t *codes = aligned_alloc(64, (size_t)scan->stride);
  Found *best = malloc(sizeof(Found) * (size_t)limit);
  for (long q = 0; q < count; q++) {
    const float *query = queries + q * scan->dimension;
    float unit = query_codes(scan, query, codes);
    long kept = 0;
    for (long row = 0; row < scan->count; row++)
      if (allow[row]) offer(best, &kept, limit, key_of(scan, codes, unit, row), (int32_t)row);
    rerank(scan, query, best, kept, k, ids + q * k);
  }
  free(codes), free(best);
}
