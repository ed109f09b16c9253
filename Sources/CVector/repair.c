// What becomes of the edges that lead to removed rows. Each is taken out; where it was the only
// way in its direction, an edge to where the removed row led takes its place. Room that is left
// belongs to the rows that come later.
#include "graph.h"

/// Successors of a removed row that are tried as its replacement, nearest first.
#define TRIED 4
/// A list that has lost one in so many edges gets another for every one it loses.
#define LEAST_SHARE 4

// A list on its way from what it was to what it will be.
typedef struct {
  uint32_t slots[CVX_DEGREE_MAX + 1];
  float distances[CVX_DEGREE_MAX + 4];
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

static int leads_there(const cvx_view *view, cvx_scratch *scratch, const list *kept, uint32_t slot,
                       float distance) {
  cvx_query candidate = {.codes = scratch->row_codes};
  cvx_query_of_row(view, slot, &candidate);
  return cvx_is_shadowed(view, &candidate, distance, kept->slots, kept->distances, kept->count);
}

// Adds one of the rows that a removed one led to: the nearest in a direction of its own, else the
// nearest.
static void bridge(const cvx_view *view, cvx_scratch *scratch, const cvx_query *query,
                   uint32_t removed, uint32_t layer, uint32_t count, list *kept) {
  uint32_t beyond[CVX_DEGREE_MAX + 1], live = 0;
  float distances[CVX_DEGREE_MAX + 4];
  uint64_t nearest[TRIED];
  uint32_t found = cvx_collect(view, scratch, removed, layer, count, beyond), tried = 0;
  for (uint32_t at = 0; at < found; at++) {
    beyond[live] = beyond[at];
    live += (uint32_t)(cvx_is_live(view->live, beyond[at]) && cvx_level(view, beyond[at]) >= layer);
  }
  cvx_measure(view, query, beyond, live, distances);
  for (uint32_t at = 0; at < live; at++)
    cvx_insert(nearest, &tried, TRIED, cvx_key(distances[at], beyond[at]));
  for (uint32_t at = 0; at < tried; at++) {
    uint32_t slot = cvx_key_slot(nearest[at]);
    float distance = cvx_key_distance(nearest[at]);
    if (leads_there(view, scratch, kept, slot, distance)) continue;
    kept->slots[kept->count] = slot;
    kept->distances[kept->count++] = distance;
    return;
  }
  if (tried == 0) return;
  kept->slots[kept->count] = cvx_key_slot(nearest[0]);
  kept->distances[kept->count++] = cvx_key_distance(nearest[0]);
}

static void repair_layer(const cvx_view *view, cvx_scratch *scratch, uint32_t slot,
                         uint32_t layer, list *kept, list *lost, uint32_t count) {
  cvx_query query = {.codes = scratch->query_codes};
  cvx_query_of_row(view, slot, &query);
  cvx_measure(view, &query, kept->slots, kept->count, kept->distances);
  cvx_measure(view, &query, lost->slots, lost->count, lost->distances);
  uint32_t degree = cvx_degree(view, layer), least = degree - degree / LEAST_SHARE;
  cvx_visit_begin(scratch, count);
  cvx_mark(scratch, slot);
  for (uint32_t at = 0; at < kept->count; at++) cvx_mark(scratch, kept->slots[at]);
  for (uint32_t at = 0; at < lost->count; at++)
    if (kept->count < least ||
        !leads_there(view, scratch, kept, lost->slots[at], lost->distances[at]))
      bridge(view, scratch, &query, lost->slots[at], layer, count, kept);
  cvx_visit_end(scratch);
  cvx_set_list(view, slot, layer, kept->slots, kept->count);
}

void cvx_repair(const cvx_view *view, cvx_scratch *scratch, uint32_t slot, const uint64_t *dead,
                uint32_t dead_count, uint32_t count) {
  list kept, lost;
  for (uint32_t layer = 0; layer <= cvx_level(view, slot); layer++)
    if (part(view, slot, layer, dead, dead_count, &kept, &lost))
      repair_layer(view, scratch, slot, layer, &kept, &lost, count);
}
