// What becomes of the edges that lead to removed rows. Each is taken out; where it was the only
// way in its direction, an edge to where the removed row led takes its place. Room that is left
// belongs to the rows that come later.
#include "graph.h"

/// Successors of a removed row that are tried as its replacement.
#define TRIED 4
/// A list that has lost one in so many edges gets another for every one it loses.
#define LEAST_SHARE 6

/// Rows compared at once: most often one of the first leads there.
#define AT_ONCE 4

// A list on its way from what it was to what it will be.
typedef struct {
  uint32_t slots[CVX_DEGREE_MAX + 1];
  uint32_t count;
} list;

// Parts a list into rows that are there and removed ones; whether one of these is `dead`.
static int part(const cvx_view *view, uint32_t slot, uint32_t layer, const uint64_t *dead,
                uint32_t dead_count, list *kept, list *lost) {
  const uint32_t *edges = cvx_edges(view, slot, layer);
  uint32_t degree = cvx_degree(view, layer);
  int is_broken = 0;
  kept->count = lost->count = 0;
  for (uint32_t at = 0; at < degree; at++) {
    uint32_t end = cvx_edge(edges + at);
    if (end == CVX_NONE) continue;
    is_broken |= end < dead_count && cvx_is_live(dead, end);
    list *to = cvx_is_live(view->live, end) ? kept : lost;
    to->slots[to->count++] = end;
  }
  return is_broken;
}

// Whether one of the list is nearer to `end` than `slot` is.
static int leads_there(const cvx_view *view, cvx_scratch *scratch, const list *kept, uint32_t slot,
                       uint32_t end) {
  float own[8], between[8];
  cvx_query query = {.codes = scratch->row_codes};
  cvx_query_of_row(view, end, &query);
  cvx_distances(view, &query, &slot, 1, own);
  for (uint32_t at = 0; at < kept->count; at += AT_ONCE) {
    uint32_t group = kept->count - at < AT_ONCE ? kept->count - at : AT_ONCE;
    cvx_distances(view, &query, kept->slots + at, group, between);
    for (uint32_t lane = 0; lane < group; lane++)
      if (between[lane] < own[0]) return 1;
  }
  return 0;
}

static int holds(const list *kept, uint32_t slot) {
  for (uint32_t at = 0; at < kept->count; at++)
    if (kept->slots[at] == slot) return 1;
  return 0;
}

// Adds one of the rows that a removed one led to: the first in a direction of its own, else the
// first. Lists begin with what is nearest.
static void bridge(const cvx_view *view, cvx_scratch *scratch, uint32_t slot, uint32_t removed,
                   uint32_t layer, list *kept) {
  if (cvx_level(view, removed) < layer) return;
  const uint32_t *edges = cvx_edges(view, removed, layer);
  uint32_t degree = cvx_degree(view, layer), beyond[TRIED], tried = 0;
  for (uint32_t at = 0; at < degree && tried < TRIED; at++) {
    uint32_t end = cvx_edge(edges + at);
    if (end == CVX_NONE) break;
    if (end == slot || !cvx_is_live(view->live, end) || cvx_level(view, end) < layer) continue;
    if (!holds(kept, end)) beyond[tried++] = end;
  }
  if (tried == 0) return;
  cvx_prefetch(view, beyond, tried);
  uint32_t best = 0;
  while (best < tried && leads_there(view, scratch, kept, slot, beyond[best])) best++;
  kept->slots[kept->count++] = beyond[best < tried ? best : 0];
}

static void repair_layer(const cvx_view *view, cvx_scratch *scratch, uint32_t slot,
                         uint32_t layer, list *kept, const list *lost) {
  uint32_t degree = cvx_degree(view, layer), least = degree - degree / LEAST_SHARE;
  cvx_prefetch(view, lost->slots, lost->count);
  cvx_prefetch(view, kept->slots, kept->count < 2 * AT_ONCE ? kept->count : 2 * AT_ONCE);
  for (uint32_t at = 0; at < lost->count; at++)
    if (kept->count < least || !leads_there(view, scratch, kept, slot, lost->slots[at]))
      bridge(view, scratch, slot, lost->slots[at], layer, kept);
  cvx_set_list(view, slot, layer, kept->slots, kept->count);
}

void cvx_repair(const cvx_view *view, cvx_scratch *scratch, uint32_t slot, const uint64_t *dead,
                uint32_t dead_count) {
  list kept, lost;
  for (uint32_t layer = 0; layer <= cvx_level(view, slot); layer++)
    if (part(view, slot, layer, dead, dead_count, &kept, &lost))
      repair_layer(view, scratch, slot, layer, &kept, &lost);
}
