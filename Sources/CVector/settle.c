// From the candidates that a walk by nibbles left to ones in the order of their 8-bit codes, and
// whether the rows of an index can be walked by nibbles at all.
#include "graph.h"

#include <math.h>

/// A candidate that its nibbles put so many times their usual error behind another is behind it.
#define ERRORS_BEHIND 4
/// Where the nearest candidates are apart by fewer usual errors than this, their order means little.
#define ERRORS_APART 2
/// Nearest candidates that are looked at for it.
#define LOOKED_AT 16

/// The largest component in steps of the codes is 127; the usual one, of rotated rows, about this.
#define USUAL_CODE 40.0f

// The usual error of a distance between a query and a row by the row's nibbles: each component is off
// by up to half a step. What is the same for all queries is in the bias.
static float usual_error(const cvx_view *view, const cvx_query *query, uint32_t slot,
                         float distance) {
  float step = 16 * view->factors[slot].scale;
  if (view->metric == CVX_INNER_PRODUCT)
    return USUAL_CODE * query->scale * step * sqrtf((float)view->dimension / 12);
  return 2 * sqrtf((distance > 0 ? distance : 0) / 12) * step;
}

// Whether the nearest of sorted candidates are in no order that means anything by their nibbles. The
// very nearest may be the query itself, from which all are far.
static int is_blurred(const cvx_view *view, const cvx_query *query, const uint64_t *sorted,
                      uint32_t count) {
  if (count < 4) return 0;
  uint64_t last = sorted[count < LOOKED_AT ? count - 1 : LOOKED_AT - 1];
  float distance = cvx_key_distance(last);
  float error = usual_error(view, query, cvx_key_slot(last), distance);
  return distance - cvx_key_distance(sorted[1]) < ERRORS_APART * error;
}

// Puts a candidate in its place among the sorted ones before it.
CVX_INLINE void put(uint64_t *pool, uint32_t place, uint64_t key) {
  for (; place > 0 && key < pool[place - 1]; place--) pool[place] = pool[place - 1];
  pool[place] = key;
}

// Measures the candidates from `from` to `to` by 8 bits, and puts each in its place among those
// before it.
static void measure(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch,
                    uint32_t from, uint32_t to) {
  uint32_t slots[CVX_GROUP];
  float distances[CVX_GROUP + 4];
  uint64_t *pool = scratch->pool;
  for (uint32_t next = from; next < to; next += CVX_GROUP) {
    uint32_t group = to - next < CVX_GROUP ? to - next : CVX_GROUP;
    for (uint32_t at = 0; at < group; at++) slots[at] = cvx_key_slot(pool[next + at]);
    cvx_prefetch(view, slots, group);
    cvx_distances(view, query, slots, group, distances);
    for (uint32_t at = 0; at < group; at++)
      put(pool, next + at, cvx_key(distances[at], slots[at]));
  }
  scratch->evaluations += to - from;
}

int cvx_settle(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch, uint32_t k) {
  uint32_t count = scratch->pool_count, last = cvx_reranked(k);
  if (last >= count || k == 0) last = count;
  measure(view, query, scratch, 0, last);
  if (is_blurred(view, query, scratch->pool, last)) return 0;
  if (last == count) return 1;
  uint64_t worst = scratch->pool[k - 1];
  float near = cvx_key_distance(worst), error = usual_error(view, query, cvx_key_slot(worst), near);
  uint32_t from = last;
  while (last < count && cvx_key_distance(scratch->pool[last]) < near + ERRORS_BEHIND * error)
    last++;
  measure(view, query, scratch, from, last);
  scratch->pool_count = last;
  return 1;
}

int cvx_settle_first(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch,
                     uint32_t first) {
  uint64_t *pool = scratch->pool;
  uint32_t count = scratch->pool_count, settled = first < count ? first : count;
  measure(view, query, scratch, 0, settled);
  int are_sharp = !is_blurred(view, query, pool, settled);
  // The others are sorted among themselves: those that are behind the last settled one stay.
  for (uint32_t at = settled; at < count && pool[at] < pool[at - 1]; at++) put(pool, at, pool[at]);
  return are_sharp;
}

// MARK: Judging

/// Rows that stand for queries, spread over all.
#define JUDGES 128
/// Candidates and answers of a walk that judges.
#define JUDGING_EF 16
#define JUDGING_K 10
/// Of a hundred answers that either walk finds, nibbles may lose as many more than the codes do.
#define LOST_MAX 2

// Leaves the nearest of `slot` by a walk in `nearest`.
static uint32_t nearest_of(const cvx_view *view, cvx_scratch *scratch, uint32_t count,
                           uint32_t entry, uint32_t slot, int by_nibbles, uint64_t *nearest) {
  cvx_query query = {.codes = scratch->query_codes};
  cvx_query_of_row(view, slot, &query);
  uint64_t start = cvx_descend(view, &query, scratch, count, entry, 0);
  query.by_nibbles = (uint32_t)by_nibbles;
  cvx_walk(view, &query, scratch, count, start, 0, JUDGING_EF, cvx_reranked(JUDGING_K));
  if (by_nibbles) cvx_settle(view, &query, scratch, JUDGING_K);
  uint32_t found = scratch->pool_count < JUDGING_K ? scratch->pool_count : JUDGING_K;
  for (uint32_t at = 0; at < found; at++) nearest[at] = scratch->pool[at] & ~CVX_EXPANDED;
  return found;
}

// Of the nearest in two sorted lists, how many more are in the first than in the second.
static int32_t more_in_first(const uint64_t *first, uint32_t count, const uint64_t *second,
                             uint32_t other) {
  int32_t more = 0;
  for (uint32_t taken = 0, a = 0, b = 0; taken < JUDGING_K && (a < count || b < other); taken++) {
    uint64_t left = a < count ? first[a] : UINT64_MAX, right = b < other ? second[b] : UINT64_MAX;
    more += (left < right) - (right < left);
    a += left <= right;
    b += right <= left;
  }
  return more;
}

int cvx_are_nibbles_sharp(const cvx_view *view, cvx_scratch *scratch, uint32_t count,
                          uint32_t entry) {
  uint64_t by_codes[JUDGING_K], by_nibbles[JUDGING_K];
  uint32_t step = count / JUDGES > 0 ? count / JUDGES : 1, judged = 0;
  int32_t lost = 0;
  for (uint32_t slot = 0; slot < count; slot += step) {
    if (!cvx_is_live(view->live, slot)) continue;
    uint32_t found = nearest_of(view, scratch, count, entry, slot, 0, by_codes);
    uint32_t other = nearest_of(view, scratch, count, entry, slot, 1, by_nibbles);
    lost += more_in_first(by_codes, found, by_nibbles, other);
    judged += found;
  }
  return judged > 0 && 100 * lost <= LOST_MAX * (int32_t)judged;
}
