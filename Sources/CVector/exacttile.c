// Exact answers for many queries at once: codes of a quarter of the bytes tell which rows may be
// among the nearest, those are compared in Float32, and the codes' largest error proves that no
// other row is nearer.
#include "batch.h"

#include <math.h>
#include <stdlib.h>

/// Candidates beyond k at first, and how many times as many where the proof wants more.
#define MARGIN 48
#define MORE 8
/// What sums in Float32 may be off by, as a share of the largest sum there can be.
#define ROUNDING 1e-5

void cvx_exact_encode(cvx_exact_rows *rows, uint32_t slot, float *vector) {
  const cvx_view *view = &rows->view;
  uint32_t dimension = view->dimension;
  uint8_t *codes = view->codes + (size_t)slot * view->stride;
  cvx_rotate(vector, dimension);
  cvx_factor factor =
      cvx_encode(vector, view->mean, dimension, (int)view->metric, codes, 0);
  view->factors[slot] = factor;
  double error = 0, length = 0;
  for (uint32_t at = 0; at < dimension; at++) {
    double off = (double)vector[at] - (double)factor.scale * ((int)codes[at] - 128);
    error += off * off;
    length += (double)vector[at] * (double)vector[at];
  }
  length = sqrt(length);
  // The rotation's own rounding is an error of the codes as well.
  error = sqrt(error) + ROUNDING * length;
  if (!(error <= rows->error_max)) rows->error_max = (float)(error * 1.000001);
  if (!(length <= rows->length_max)) rows->length_max = (float)(length * 1.000001);
}

// What the codes of one query leave open.
typedef struct {
  double error, length;
} doubt;

static doubt doubt_of(const cvx_view *view, const cvx_query *query) {
  double scale = view->metric == CVX_INNER_PRODUCT ? query->scale : query->scale / 2;
  double error = 0, length = 0;
  for (uint32_t at = 0; at < view->dimension; at++) {
    double off = (double)query->exact[at] - scale * query->codes[at];
    error += off * off;
    length += (double)query->exact[at] * (double)query->exact[at];
  }
  length = sqrt(length);
  return (doubt){sqrt(error) + ROUNDING * length, length};
}

// The least distance that a row can have whose codes are at least as far as `coded`.
static double least(const cvx_exact_rows *rows, doubt query, float coded) {
  double longest = rows->length_max;
  if (rows->view.metric == CVX_INNER_PRODUCT)
    return coded - (rows->error_max * query.length + (longest + rows->error_max) * query.error) -
           ROUNDING * (1 + longest * query.length);
  double slack = ROUNDING * (longest + query.length) * (longest + query.length);
  double away = sqrt(fmax(0, coded - slack)) - rows->error_max - query.error;
  double square = away <= 0 ? 0 : away * away - slack;
  return rows->view.metric == CVX_COSINE ? square / 2 : square;
}

static int by_distance(const void *left, const void *right) {
  const cvx_answer *a = left, *b = right;
  if (a->distance != b->distance) return a->distance < b->distance ? -1 : 1;
  return a->slot < b->slot ? -1 : a->slot > b->slot;
}

// Compares a query's candidates in Float32; its k nearest, or UINT32_MAX where others may be nearer.
static uint32_t settle(const cvx_exact_rows *rows, const cvx_tile *tile, uint32_t number,
                       const float *vector, doubt query, uint32_t k, cvx_scratch *scratch,
                       cvx_answer *answers) {
  const uint64_t *nearest = tile->nearest + (size_t)number * (tile->wanted + 1);
  uint32_t found = tile->found[number], dimension = rows->view.dimension;
  // As a single search compares: among near ties another sum would choose others.
  int is_product = rows->view.metric != CVX_L2;
  cvx_answer *all = cvx_reserve_answers(scratch, found + 1);
  for (uint32_t at = 0; at < found; at++) {
    uint32_t slot = cvx_key_slot(nearest[at]);
    const float *row = rows->rows + (size_t)slot * rows->row_stride;
    all[at] = (cvx_answer){slot, is_product ? 1 - cvector_dot_f32(vector, row, dimension)
                                            : cvector_l2_f32(vector, row, dimension)};
  }
  qsort(all, found, sizeof(cvx_answer), by_distance);
  uint32_t kept = k < found ? k : found;
  if (found < rows->count &&
      !(kept == k && all[k - 1].distance <
                         least(rows, query, cvx_key_distance(nearest[found - 1]))))
    return UINT32_MAX;
  memcpy(answers, all, kept * sizeof(cvx_answer));
  return kept;
}

void cvx_exact_tile(const cvx_exact_rows *rows, cvx_batch *batch, cvx_scratch *scratch,
                    uint32_t queries, uint32_t k, cvx_answer *answers, uint32_t *counts) {
  doubt doubts[CVX_TILE];
  uint32_t numbers[CVX_TILE], open = queries, dimension = batch->dimension;
  float *vectors = malloc((size_t)queries * dimension * sizeof(float));
  if (!vectors) abort();
  for (uint32_t at = 0; at < queries; at++) {
    memcpy(vectors + at * dimension, cvx_batch_vector(batch, at), dimension * sizeof(float));
    cvx_batch_prepare(&rows->view, batch, scratch, at);
    doubts[at] = doubt_of(&rows->view, &batch->queries[at]);
    numbers[at] = at;
    counts[at] = UINT32_MAX;
  }
  for (uint64_t wanted = (uint64_t)k + MARGIN; open > 0 && wanted <= CVX_TILED_MAX;
       wanted *= MORE) {
    cvx_tile tile =
        cvx_batch_tile(batch, open, wanted < rows->count ? (uint32_t)wanted : rows->count);
    cvx_scan_tile(&rows->view, &tile, rows->count);
    uint32_t left = 0;
    for (uint32_t at = 0; at < open; at++) {
      uint32_t number = numbers[at];
      counts[number] = settle(rows, &tile, at, vectors + number * dimension, doubts[number], k,
                              scratch, answers + (size_t)number * k);
      if (counts[number] != UINT32_MAX) continue;
      numbers[left] = number;
      batch->queries[left++] = batch->queries[at];
    }
    open = left;
  }
  free(vectors);
}
