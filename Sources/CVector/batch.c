// Many queries at once. Where looking at every row costs less than as many walks (few rows, or many
// candidates), rows are taken a few at a time and compared with all queries of a tile while they
// are in the first cache; every query gets at least what `cvx_search` finds.
#include "batch.h"

#include <stdlib.h>

/// In units of one row for one query of a tile: what a query costs a tile before its first row; what
/// a candidate of a walk costs where all rows are near, how many rows add one to it, by codes and by
/// nibbles, and from where they are as far as they get; candidates that a walk follows on its way there.
#define TILE_START 4300
#define WALKED_NEAR 85
#define WALKED_STEP 360
#define WALKED_STEP_NIBBLES 1000
#define WALKED_FAR_FROM 50000
#define WALKED_BEFORE 16
/// A row for one query where several do not share the registers.
#define UNSHARED_COST 4

static void *aligned(size_t bytes) {
  void *memory = 0;
  if (posix_memalign(&memory, 64, (bytes + 63) & ~(size_t)63) != 0) abort();
  return memory;
}

cvx_batch *cvx_batch_create(uint32_t dimension) {
  cvx_batch *batch = aligned(sizeof(cvx_batch));
  memset(batch, 0, sizeof(*batch));
  batch->dimension = dimension;
  batch->stride = cvx_stride(dimension);
  batch->codes = aligned(CVX_TILE * batch->stride);
  batch->exact = aligned(CVX_TILE * batch->stride * sizeof(float));
  return batch;
}

void cvx_batch_destroy(cvx_batch *batch) {
  free(batch->codes);
  free(batch->exact);
  free(batch->nearest);
  free(batch);
}

float *cvx_batch_vector(cvx_batch *batch, uint32_t number) {
  return batch->exact + number * batch->stride;
}

// `cvx_prepare` leaves its work in the scratch; each query of a tile keeps its own.
void cvx_batch_prepare(const cvx_view *view, cvx_batch *batch, cvx_scratch *scratch,
                       uint32_t number) {
  float *vector = cvx_batch_vector(batch, number);
  cvx_query *query = &batch->queries[number];
  cvx_prepare(view, scratch, vector, query);
  int8_t *codes = batch->codes + number * batch->stride;
  memcpy(codes, query->codes, batch->stride);
  memcpy(vector, query->exact, batch->dimension * sizeof(float));
  query->codes = codes;
  query->exact = vector;
}

cvx_tile cvx_batch_tile(cvx_batch *batch, uint32_t queries, uint32_t wanted) {
  cvx_tile tile = {.queries = batch->queries, .count = queries, .wanted = wanted};
  size_t room = (size_t)CVX_TILE * (wanted + 1);
  if (batch->nearest_room < room) {
    free(batch->nearest);
    batch->nearest = aligned(room * 8);
    batch->nearest_room = room;
  }
  tile.nearest = batch->nearest;
  return tile;
}

// Writes what was found. Rows that others removed between a walk and its re-ranking may leave too
// few: every row is looked at then.
static void answer(const cvx_view *view, cvx_scratch *scratch, const cvx_query *query,
                   cvx_answer *answers, uint32_t found, uint32_t k, uint32_t count,
                   cvx_result *results, uint32_t *counts) {
  if (found < k && found < cvx_passing(view, count, 0))
    found = cvx_scan(view, scratch, query, count, 0, k, answers);
  for (uint32_t rank = 0; rank < found; rank++)
    results[rank] = (cvx_result){view->ids[answers[rank].slot], answers[rank].distance};
  *counts = found;
}

static cvx_answer *room_for_answers(cvx_scratch *scratch, uint32_t k) {
  return cvx_reserve_answers(scratch, cvx_reranked(k) + k) + cvx_reranked(k);
}

// Where the two cost the same, by measurement: a walk's rows come from memory the less often the
// fewer there are, and a tile has some work a query whatever the rows.
int cvx_is_tiled(const cvx_view *view, uint32_t count, uint32_t queries, uint32_t k, uint32_t ef) {
  // A tile that is not full pays for its rows all the same.
  if (queries < CVX_TILE / 2 || cvx_reranked(k) > CVX_TILED_MAX) return 0;
  uint32_t step = cvx_by_nibbles(view) ? WALKED_STEP_NIBBLES : WALKED_STEP;
  uint64_t row = WALKED_NEAR + (count < WALKED_FAR_FROM ? count : WALKED_FAR_FROM) / step;
  uint64_t walked = ((uint64_t)ef + WALKED_BEFORE) * row * view->degree / 32;
  uint64_t shared = cvector_level() == CVECTOR_AVX512_VNNI ? 1 : UNSHARED_COST;
  return TILE_START + count * shared <= walked;
}

static void scan_tile(const cvx_view *view, cvx_batch *batch, cvx_scratch *scratch,
                      uint32_t queries, uint32_t k, uint32_t ef, uint32_t count,
                      cvx_result *results, uint32_t *counts) {
  cvx_tile tile =
      cvx_batch_tile(batch, queries, cvx_reranked(k) < count ? cvx_reranked(k) : count);
  cvx_scan_tile(view, &tile, count);
  scratch->evaluations += (uint64_t)count * queries;
  cvx_answer *answers = room_for_answers(scratch, k);
  for (uint32_t number = 0; number < queries; number++) {
    const cvx_query *query = &batch->queries[number];
    const uint64_t *nearest = tile.nearest + (size_t)number * (tile.wanted + 1);
    uint32_t found =
        cvx_is_blurred(view, query, nearest, tile.found[number])
            ? cvx_search(view, scratch, query, k, ef, 0, count, answers)
            : cvx_rerank(view, scratch, query, nearest, tile.found[number], k, answers);
    answer(view, scratch, query, answers, found, k, count,
           results + (size_t)number * k, counts + number);
  }
}

void cvx_find_batch(const cvx_view *view, cvx_batch *batch, cvx_scratch *scratch,
                    uint32_t queries, uint32_t k, uint32_t ef, uint32_t count,
                    cvx_result *results, uint32_t *counts) {
  memset(counts, 0, queries * sizeof(uint32_t));
  if (count == 0 || cvx_live_count(view) == 0) return;
  if (cvx_is_tiled(view, count, queries, k, ef)) {
    for (uint32_t number = 0; number < queries; number++)
      cvx_batch_prepare(view, batch, scratch, number);
    return scan_tile(view, batch, scratch, queries, k, ef, count, results, counts);
  }
  for (uint32_t number = 0; number < queries; number++) {
    cvx_query query;
    cvx_prepare(view, scratch, cvx_batch_vector(batch, number), &query);
    cvx_answer *answers = room_for_answers(scratch, k);
    uint32_t found = cvx_search(view, scratch, &query, k, ef, 0, count, answers);
    answer(view, scratch, &query, answers, found, k, count, results + (size_t)number * k,
           counts + number);
  }
}
