// How a node's edges are chosen.
#include "graph.h"

/// Where more than one in so many candidates was removed, a walk that passes them finds more.
#define REMOVED_SHARE 5
/// Of the candidates that a walk by nibbles found, so many nearest are put in order by 8 bits: few
/// edges lead to the others, and to these it does not matter to which.
#define SETTLED_SHARE 2

static int has_distance(const float *distances, uint32_t count, float wanted) {
  for (uint32_t at = 0; at < count; at++)
    if (distances[at] == wanted) return 1;
  return 0;
}

// Candidates that are looked at together, nearest first, and a bit for each that no chosen row leads
// to yet.
typedef struct {
  uint32_t slots[CVX_GROUP];
  float distances[CVX_GROUP];
  uint32_t count;
  uint64_t left;
} block;

static void read_block(const cvx_view *view, const uint64_t *candidates, uint32_t count,
                       block *rows) {
  rows->count = count < CVX_GROUP ? count : CVX_GROUP;
  rows->left = rows->count == 64 ? ~0ull : (1ull << rows->count) - 1;
  for (uint32_t at = 0; at < rows->count; at++) {
    rows->slots[at] = cvx_key_slot(candidates[at]);
    rows->distances[at] = cvx_key_distance(candidates[at]);
  }
  cvx_prefetch(view, rows->slots, rows->count);
}

// Takes out of those that are left the ones that a chosen row leads to well enough: it is nearer to
// them than the base is. Or as far from the base, so most likely a copy: under inner product a copy
// need not be near, and a list of thirty copies leads nowhere.
static void pass_over(const cvx_view *view, cvx_scratch *scratch, uint32_t chosen, float base,
                      int is_fine, block *rows) {
  if (rows->left == 0) return;
  uint32_t slots[CVX_GROUP], places[CVX_GROUP], count = 0;
  float between[CVX_GROUP + 4];
  for (uint64_t left = rows->left; left; left &= left - 1) {
    uint32_t place = (uint32_t)__builtin_ctzll(left);
    places[count] = place;
    slots[count++] = rows->slots[place];
  }
  cvx_query query = {.codes = scratch->row_codes};
  cvx_query_of_row(view, chosen, &query);
  if (is_fine) cvx_sharpen_row(view, chosen, &query, scratch->row_fine);
  cvx_apart(view, &query, slots, count, between);
  for (uint32_t at = 0; at < count; at++) {
    float distance = rows->distances[places[at]];
    uint64_t is_shadowed = between[at] < distance || base == distance;
    rows->left &= ~(is_shadowed << places[at]);
  }
}

// Candidates that were passed over, nearest first, and how far they are from the base.
typedef struct {
  uint32_t slots[CVX_DEGREE_MAX];
  float distances[CVX_DEGREE_MAX];
  uint32_t count;
} spare;

// Room that is left: first for rows that are not there yet, then for copies.
static uint32_t fill_up(spare *rows, uint32_t limit, uint32_t *chosen, float *base,
                        uint32_t taken) {
  uint32_t copies = 0;
  for (uint32_t at = 0; at < rows->count && taken < limit; at++) {
    if (has_distance(base, taken, rows->distances[at])) {
      rows->slots[copies++] = rows->slots[at];
      continue;
    }
    chosen[taken] = rows->slots[at];
    base[taken++] = rows->distances[at];
  }
  for (uint32_t at = 0; at < copies && taken < limit; at++) chosen[taken++] = rows->slots[at];
  return taken;
}

uint32_t cvx_select(const cvx_view *view, cvx_scratch *scratch, const uint64_t *candidates,
                    uint32_t count, uint32_t limit, int is_fine, uint32_t *chosen) {
  float base[CVX_DEGREE_MAX];
  uint32_t taken = 0;
  spare others;
  block rows;
  others.count = 0;
  for (uint32_t from = 0; from < count && taken < limit; from += CVX_GROUP) {
    read_block(view, candidates + from, count - from, &rows);
    uint64_t picked = 0;
    for (uint32_t at = 0; at < taken; at++)
      pass_over(view, scratch, chosen[at], base[at], is_fine, &rows);
    while (rows.left && taken < limit) {
      uint32_t place = (uint32_t)__builtin_ctzll(rows.left);
      rows.left &= rows.left - 1;
      picked |= 1ull << place;
      chosen[taken] = rows.slots[place];
      base[taken] = rows.distances[place];
      pass_over(view, scratch, chosen[taken], base[taken], is_fine, &rows);
      taken++;
    }
    for (uint32_t at = 0; at < rows.count && others.count < limit; at++) {
      if (picked >> at & 1) continue;
      others.distances[others.count] = rows.distances[at];
      others.slots[others.count++] = rows.slots[at];
    }
  }
  return fill_up(&others, limit, chosen, base, taken);
}

// Of the peers from `*from` on that reach `layer`, the next ones.
static uint32_t next_peers(const cvx_view *view, const cvx_peers *peers, uint32_t layer,
                           uint32_t *from, uint32_t *slots) {
  uint32_t group = 0;
  for (; *from < peers->count && group < CVX_GROUP; *from += 1)
    if (layer == 0 || cvx_level(view, peers->slots[*from]) >= layer)
      slots[group++] = peers->slots[*from];
  return group;
}

// Adds those of the row's peers that reach `layer` to `pool`, the best `capacity` sorted candidates.
// Rows that took the places of removed ones are not beside each other: the next ones are asked for
// while those before are compared.
static uint32_t add_peers(const cvx_view *view, const cvx_query *query, const cvx_peers *peers,
                          uint32_t layer, uint64_t *pool, uint32_t count, uint32_t capacity) {
  uint32_t slots[2][CVX_GROUP], from = 0, side = 0;
  float distances[CVX_GROUP + 4];
  uint32_t group = next_peers(view, peers, layer, &from, slots[0]);
  while (group > 0) {
    uint32_t next = next_peers(view, peers, layer, &from, slots[1 - side]);
    if (next > 0) cvx_prefetch(view, slots[1 - side], next);
    cvx_apart(view, query, slots[side], group, distances);
    cvx_offer(view, pool, &count, capacity, slots[side], distances, group, CVX_NONE, 0);
    side = 1 - side;
    group = next;
  }
  return count;
}

// Chooses the edges of `slot` among `count` sorted candidates in `pool`, which has room for as many
// as `view->ef_construction`, and among its peers.
static void plan_layer(const cvx_view *view, cvx_scratch *scratch, const cvx_query *query,
                       uint32_t slot, const cvx_peers *peers, uint32_t layer, uint64_t *pool,
                       uint32_t count, uint32_t *chosen) {
  uint32_t kept = 0, limit = cvx_degree(view, layer), ef = view->ef_construction;
  for (uint32_t at = 0; at < count; at++) {
    uint32_t candidate = cvx_key_slot(pool[at]);
    if (candidate == slot || !cvx_is_live(view->live, candidate)) continue;
    pool[kept++] = pool[at] & ~CVX_EXPANDED;
  }
  kept = add_peers(view, query, peers, layer, pool, kept, kept > ef ? kept : ef);
  uint32_t taken = cvx_select(view, scratch, pool, kept, limit, query->fine != 0, chosen);
  for (; taken < limit; taken++) chosen[taken] = CVX_NONE;
}

// Whether most of the candidates that a walk found are rows that are there.
static int has_enough(const cvx_view *view, const cvx_scratch *scratch) {
  uint32_t live = 0;
  for (uint32_t at = 0; at < scratch->pool_count; at++)
    live += (uint32_t)cvx_is_live(view->live, cvx_key_slot(scratch->pool[at]));
  return live >= scratch->pool_count - scratch->pool_count / REMOVED_SHARE;
}

// The candidates for edges of `slot` in layer 0 where removed rows are around.
static void plan_past(const cvx_view *view, cvx_scratch *scratch, const cvx_query *query,
                      uint32_t count, uint64_t start, uint32_t slot, const cvx_peers *peers,
                      uint32_t *chosen) {
  uint32_t ef = view->ef_construction;
  if (cvx_walk_past(view, query, scratch, count, start, ef, ef)) {
    plan_layer(view, scratch, query, slot, peers, 0, scratch->pool, scratch->pool_count, chosen);
    return;
  }
  cvx_walk_allowed(view, query, scratch, count, start, 0, ef, 2 * ef, 0, UINT64_MAX, 0);
  // Nothing but removed rows around: a row without edges would never be found.
  if (scratch->found_count < cvx_degree(view, 0))
    cvx_scan_codes(view, scratch, query, count, 0, ef < count ? ef : count);
  plan_layer(view, scratch, query, slot, peers, 0, scratch->found, scratch->found_count, chosen);
}

// Leaves the candidates for edges of `query`'s row in the pool, nearest first.
static void walk(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch, uint32_t count,
                 uint64_t start, uint32_t layer) {
  uint32_t ef = view->ef_construction, first = ef / SETTLED_SHARE;
  cvx_query near = *query;
  near.by_nibbles = cvx_by_nibbles(view);
  cvx_walk_wide(view, &near, scratch, count, start, layer, ef);
  if (!near.by_nibbles) return;
  if (first < 2 * view->degree) first = 2 * view->degree;
  if (!cvx_settle_first(view, query, scratch, first))
    cvx_walk_wide(view, query, scratch, count, start, layer, ef);
}

void cvx_plan(const cvx_view *view, cvx_scratch *scratch, uint32_t count, uint32_t entry,
              uint32_t slot, cvx_peers peers, uint32_t *chosen) {
  cvx_query query = {.codes = scratch->query_codes};
  cvx_query_of_row(view, slot, &query);
  uint32_t top = cvx_level(view, entry), level = cvx_level(view, slot);
  uint32_t ef = view->ef_construction;
  uint64_t start = cvx_descend(view, &query, scratch, count, entry, level);
  cvx_reserve_pool(scratch, ef);
  for (uint32_t layer = level + 1; layer-- > 0;) {
    uint32_t *out = chosen + (layer == 0 ? 0 : view->degree + (layer - 1) * view->upper_degree);
    if (layer > top) {
      plan_layer(view, scratch, &query, slot, &peers, layer, scratch->pool, 0, out);
      continue;
    }
    walk(view, &query, scratch, count, start, layer);
    start = scratch->pool[0] & ~CVX_EXPANDED;
    if (layer == 0 && cvx_removed_count(view) > 0 && !has_enough(view, scratch)) {
      plan_past(view, scratch, &query, count, start, slot, &peers, out);
      continue;
    }
    if (layer == 0 && cvx_is_blurred(view, &query, scratch->pool, scratch->pool_count)) {
      cvx_sharpen_row(view, slot, &query, scratch->query_fine);
      cvx_walk_fine(view, &query, scratch, count, ef, ef);
    }
    plan_layer(view, scratch, &query, slot, &peers, layer, scratch->pool, scratch->pool_count, out);
  }
}

uint64_t cvx_region(const cvx_view *view, cvx_scratch *scratch, uint32_t count, uint32_t entry,
                    uint32_t slot) {
  cvx_query query = {.codes = scratch->query_codes};
  cvx_query_of_row(view, slot, &query);
  uint32_t wide = cvx_key_slot(cvx_descend(view, &query, scratch, count, entry, 1));
  uint32_t narrow = cvx_key_slot(cvx_descend(view, &query, scratch, count, wide, 0));
  return (uint64_t)wide << 32 | narrow;
}
