// Distances by all bits of two rows. Where many rows lie so near each other that their 8-bit codes
// hardly tell them apart (tight clouds far from the mean, curves, few dimensions), walks and lists of
// edges go by these instead.
#include "graph.h"

#include <math.h>

// The same bits on every processor: sums in sixteen lanes, no fused multiply-add.
#pragma STDC FP_CONTRACT OFF

/// Rows that are nearer together than so many times the usual error of a distance by codes are in
/// no order that means anything.
#define ERRORS_APART 8
/// Nearest candidates that are looked at; half of them in no order is too many.
#define LOOKED_AT 32

/// The largest component in steps of the codes is 127; the usual one, of rotated rows, about this.
#define USUAL_CODE 40.0f

CVX_INLINE float fine_sum(const uint8_t *codes, const int8_t *residuals, float scale,
                          const float *row, size_t stride, int is_product) {
  float sums[16] = {0};
  for (size_t at = 0; at < stride; at += 16) {
    for (size_t lane = 0; lane < 16; lane++) {
      int value = ((int)codes[at + lane] - 128) * 256 + residuals[at + lane];
      float y = (float)value * scale, difference = y - row[at + lane];
      sums[lane] += is_product ? y * row[at + lane] : difference * difference;
    }
  }
  for (int width = 8; width > 0; width /= 2)
    for (int lane = 0; lane < width; lane++) sums[lane] += sums[lane + width];
  return sums[0];
}

CVX_INLINE float fine_any(const uint8_t *codes, const int8_t *residuals, float scale,
                          const float *row, size_t stride, int is_product) {
  if (is_product) return fine_sum(codes, residuals, scale, row, stride, 1);
  return fine_sum(codes, residuals, scale, row, stride, 0);
}

typedef float (*fine_kernel)(const uint8_t *, const int8_t *, float, const float *, size_t, int);

static float fine_baseline(const uint8_t *codes, const int8_t *residuals, float scale,
                           const float *row, size_t stride, int is_product) {
  return fine_any(codes, residuals, scale, row, stride, is_product);
}

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq"))) static float fine_avx512(
    const uint8_t *codes, const int8_t *residuals, float scale, const float *row, size_t stride,
    int is_product) {
  return fine_any(codes, residuals, scale, row, stride, is_product);
}

__attribute__((target("avx2"))) static float fine_avx2(const uint8_t *codes,
                                                       const int8_t *residuals, float scale,
                                                       const float *row, size_t stride,
                                                       int is_product) {
  return fine_any(codes, residuals, scale, row, stride, is_product);
}
#endif

static fine_kernel kernel_at(int level) {
#if defined(__x86_64__)
  if (level >= CVECTOR_AVX512_VNNI) return fine_avx512;
  if (level >= CVECTOR_AVX2_FMA) return fine_avx2;
#endif
  (void)level;
  return fine_baseline;
}

static fine_kernel fine = fine_baseline;

void cvx_choose_fine(int level) { fine = kernel_at(level); }

float cvx_fine_sum(int level, const uint8_t *codes, const int8_t *residuals, float scale,
                   const float *row, size_t stride, int is_product) {
  return kernel_at(level)(codes, residuals, scale / 256, row, stride, is_product);
}

static const int8_t *residuals_of(const cvx_view *view, uint32_t slot) {
  return view->residuals + (size_t)slot * view->stride;
}

// MARK: When

// The usual error of a distance between two rows by their codes, from the steps of these.
static float usual_error(const cvx_view *view, float scale, float other, float distance) {
  float dimension = (float)view->dimension;
  if (view->metric == CVX_INNER_PRODUCT)
    return USUAL_CODE * scale * other * sqrtf(dimension / 6);
  float variance = (scale * scale + other * other) / 12;
  float near = distance > 0 ? distance : 0;
  return sqrtf(variance * (4 * near + 2 * dimension * variance));
}

static float scale_of(const cvx_view *view, const cvx_query *query) {
  return view->metric == CVX_INNER_PRODUCT ? query->scale : query->scale / 2;
}

float cvx_usual_error(const cvx_view *view, const cvx_query *query, uint32_t slot,
                      float distance) {
  return usual_error(view, scale_of(view, query), view->factors[slot].scale, distance);
}

int cvx_is_blurred(const cvx_view *view, const cvx_query *query, const uint64_t *sorted,
                   uint32_t count) {
  if (!view->residuals || count < 2) return 0;
  float nearest = cvx_key_distance(sorted[0]);
  uint32_t half = (count < LOOKED_AT ? count : LOOKED_AT) / 2;
  float error = usual_error(view, scale_of(view, query),
                            view->factors[cvx_key_slot(sorted[0])].scale, nearest);
  return cvx_key_distance(sorted[half]) - nearest < ERRORS_APART * error;
}

int cvx_is_list_blurred(const cvx_view *view, const cvx_query *query, const uint32_t *slots,
                        const float *distances, uint32_t count) {
  if (!view->residuals || count < 2) return 0;
  uint32_t nearest = 0, near = 0;
  for (uint32_t at = 1; at < count; at++)
    if (distances[at] < distances[nearest]) nearest = at;
  float error = usual_error(view, scale_of(view, query), view->factors[slots[nearest]].scale,
                            distances[nearest]);
  float limit = distances[nearest] + ERRORS_APART * error;
  for (uint32_t at = 0; at < count; at++) near += distances[at] < limit;
  return near > count / 2;
}

// MARK: Distances

void cvx_sharpen_row(const cvx_view *view, uint32_t slot, cvx_query *query, float *room) {
  const uint8_t *codes = cvx_row(view, slot);
  const int8_t *residuals = residuals_of(view, slot);
  float scale = view->factors[slot].scale / 256;
  for (size_t at = 0; at < view->stride; at++)
    room[at] = (float)(((int)codes[at] - 128) * 256 + residuals[at]) * scale;
  query->fine = room;
}

cvx_query cvx_sharp(const cvx_view *view, cvx_scratch *scratch, const cvx_query *query) {
  cvx_query sharp = *query;
  memcpy(scratch->query_fine, query->exact, view->dimension * sizeof(float));
  memset(scratch->query_fine + view->dimension, 0,
         (view->stride - view->dimension) * sizeof(float));
  sharp.fine = scratch->query_fine;
  return sharp;
}

static void fine_distances(const cvx_view *view, const cvx_query *query, const uint32_t *slots,
                           uint32_t count, float *out) {
  int is_product = view->metric == CVX_INNER_PRODUCT;
  for (uint32_t at = 0; at < count; at++) {
    if (at + 2 < count)
      for (size_t line = 0; line < view->stride; line += 64)
        __builtin_prefetch(residuals_of(view, slots[at + 2]) + line);
    cvx_factor factor = view->factors[slots[at]];
    float sum = fine(cvx_row(view, slots[at]), residuals_of(view, slots[at]), factor.scale / 256,
                     query->fine, view->stride, is_product);
    out[at] = is_product ? (factor.bias - sum) + query->constant : sum;
  }
}

void cvx_apart(const cvx_view *view, const cvx_query *query, const uint32_t *slots, uint32_t count,
               float *out) {
  if (query->fine) fine_distances(view, query, slots, count, out);
  else cvx_distances(view, query, slots, count, out);
}

// MARK: Walking

static void sort_keys(uint64_t *keys, uint32_t count) {
  for (uint32_t gap = count / 2; gap > 0; gap /= 2)
    for (uint32_t at = gap; at < count; at++) {
      uint64_t moved = keys[at];
      uint32_t to = at;
      for (; to >= gap && moved < keys[to - gap]; to -= gap) keys[to] = keys[to - gap];
      keys[to] = moved;
    }
}

// Puts the candidates that a walk found in their true order, as ones that nobody followed.
static void reorder(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch) {
  uint32_t slots[CVX_GROUP];
  float distances[CVX_GROUP + 4];
  for (uint32_t from = 0; from < scratch->pool_count; from += CVX_GROUP) {
    uint32_t left = scratch->pool_count - from, group = left < CVX_GROUP ? left : CVX_GROUP;
    for (uint32_t at = 0; at < group; at++) {
      slots[at] = cvx_key_slot(scratch->pool[from + at]);
      cvx_mark(scratch, slots[at]);
    }
    fine_distances(view, query, slots, group, distances);
    for (uint32_t at = 0; at < group; at++)
      scratch->pool[from + at] = cvx_key(distances[at], slots[at]);
  }
  sort_keys(scratch->pool, scratch->pool_count);
}

void cvx_walk_fine(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch,
                   uint32_t count, uint32_t ef, uint32_t room) {
  uint32_t fresh[CVX_DEGREE_MAX + 1], cursor = 0;
  float distances[CVX_DEGREE_MAX + 4];
  cvx_visit_begin(scratch, count);
  reorder(view, query, scratch);
  while (cursor < scratch->pool_count && cursor < ef) {
    if (scratch->pool[cursor] & CVX_EXPANDED) {
      cursor++;
      continue;
    }
    uint32_t slot = cvx_key_slot(scratch->pool[cursor]), next = cursor + 1;
    scratch->pool[cursor] |= CVX_EXPANDED;
    uint32_t found = cvx_collect(view, scratch, slot, 0, count, fresh);
    fine_distances(view, query, fresh, found, distances);
    for (uint32_t at = 0; at < found; at++) {
      uint32_t place = cvx_insert(scratch->pool, &scratch->pool_count, room,
                                  cvx_key(distances[at], fresh[at]));
      next = place < next ? place : next;
    }
    scratch->evaluations += found;
    cursor = next;
  }
  cvx_visit_end(scratch);
}
