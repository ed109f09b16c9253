// What becomes of the edges that lead to removed rows. Each is taken out. A list that has become
// short gets an edge to where a removed row led, for each that it lost; one that lost many is chosen
// anew among what is left and all that is behind. Room that is left belongs to the rows that come
// later, with which a full list is put in order again.
#include "graph.h"

/// A list is short that has lost more than one in so many edges; it is mended up to there.
#define LEAST_SHARE 8
/// A list that lost one in so many edges at once is chosen anew.
#define ANEW_SHARE 4
/// Rows that one removed row led to, of those a list is chosen from.
#define BEHIND 8

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

// The rows behind a removed one that are there and not marked yet, nearest to it first; at most
// `wanted`, which are marked.
static uint32_t behind(const cvx_view *view, cvx_scratch *scratch, uint32_t removed,
                       uint32_t layer, uint32_t count, uint32_t wanted, uint32_t *rows) {
  if (cvx_level(view, removed) < layer) return 0;
  const uint32_t *edges = cvx_edges(view, removed, layer);
  uint32_t degree = cvx_degree(view, layer), found = 0;
  for (uint32_t at = 0; at < degree && found < wanted; at++) {
    uint32_t end = cvx_edge(edges + at);
    if (end >= count || !cvx_is_live(view->live, end) || cvx_level(view, end) < layer) continue;
    if (cvx_is_live(scratch->visited, end)) continue;
    cvx_mark(scratch, end);
    rows[found++] = end;
  }
  return found;
}

// The lists of removed rows come from memory together.
static void announce(const cvx_view *view, uint32_t layer, const list *lost) {
  for (uint32_t at = 0; at < lost->count; at++) {
    if (cvx_level(view, lost->slots[at]) < layer) continue;
    const uint32_t *edges = cvx_edges(view, lost->slots[at], layer);
    for (uint32_t word = 0; word < cvx_degree(view, layer); word += 16)
      __builtin_prefetch(edges + word);
  }
}

// Puts the row nearest to each lost one in its place: where that led in a direction of its own, this
// one does, too. Nothing is measured.
static void replace_lost(const cvx_view *view, cvx_scratch *scratch, uint32_t layer,
                         const list *lost, uint32_t count, uint32_t least, list *kept) {
  for (uint32_t at = 0; at < lost->count && kept->count < least; at++)
    kept->count +=
        behind(view, scratch, lost->slots[at], layer, count, 1, kept->slots + kept->count);
}

// Chooses among the rows that are left and those behind the lost ones.
static void choose_anew(const cvx_view *view, cvx_scratch *scratch, uint32_t slot, uint32_t layer,
                        const list *lost, uint32_t count, uint32_t least, list *kept) {
  uint32_t rows[CVX_DEGREE_MAX * (BEHIND + 1)], held = kept->count, sorted;
  float distances[CVX_DEGREE_MAX * (BEHIND + 1) + 4];
  memcpy(rows, kept->slots, held * sizeof(uint32_t));
  for (uint32_t at = 0; at < lost->count; at++)
    held += behind(view, scratch, lost->slots[at], layer, count, BEHIND, rows + held);
  cvx_query query = {.codes = scratch->query_codes};
  cvx_query_of_row(view, slot, &query);
  cvx_measure(view, &query, rows, held, distances);
  int is_fine = layer == 0 && cvx_is_list_blurred(view, &query, rows, distances, held);
  if (is_fine) {
    cvx_sharpen_row(view, slot, &query, scratch->query_fine);
    cvx_measure(view, &query, rows, held, distances);
  }
  sorted = cvx_rank(view, scratch, rows, distances, held);
  kept->count = cvx_select(view, scratch, scratch->pool, sorted, least, is_fine, kept->slots);
}

static void repair_layer(const cvx_view *view, cvx_scratch *scratch, uint32_t slot,
                         uint32_t layer, list *kept, const list *lost, uint32_t count) {
  uint32_t degree = cvx_degree(view, layer), least = degree - degree / LEAST_SHARE;
  if (kept->count < least) {
    announce(view, layer, lost);
    cvx_visit_begin(scratch, count);
    cvx_mark(scratch, slot);
    for (uint32_t at = 0; at < kept->count; at++) cvx_mark(scratch, kept->slots[at]);
    if (lost->count * ANEW_SHARE < degree)
      replace_lost(view, scratch, layer, lost, count, least, kept);
    else choose_anew(view, scratch, slot, layer, lost, count, least, kept);
    cvx_visit_end(scratch);
  }
  cvx_set_list(view, slot, layer, kept->slots, kept->count);
}

void cvx_repair(const cvx_view *view, cvx_scratch *scratch, uint32_t slot, const uint64_t *dead,
                uint32_t dead_count, uint32_t count) {
  list kept, lost;
  for (uint32_t layer = 0; layer <= cvx_level(view, slot); layer++)
    if (part(view, slot, layer, dead, dead_count, &kept, &lost))
      repair_layer(view, scratch, slot, layer, &kept, &lost, count);
}
