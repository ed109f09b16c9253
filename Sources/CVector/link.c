// How a list of edges takes in others. A full list is in the order of `cvx_select`: first the edges
// that lead in a direction of their own, nearest first, then those it was filled up with, nearest
// first, copies last. To put one more in its place, only the distances from that one are needed;
// all pairs are looked at again where edges were appended in between.
#include "graph.h"

/// Distances of a list that was put in order fall this often at most: where the fill begins, and
/// where the copies begin.
#define FALLS_MAX 2

typedef struct {
  uint32_t slots[CVX_DEGREE_MAX + 1];
  /// From the row whose list it is.
  float distances[CVX_DEGREE_MAX + 4];
  uint32_t count;
  /// How many lead in a direction of their own.
  uint32_t chosen;
} ordered;

void cvx_measure(const cvx_view *view, const cvx_query *query, const uint32_t *slots,
                 uint32_t count, float *distances) {
  for (uint32_t from = 0; from < count; from += CVX_GROUP) {
    uint32_t group = count - from < CVX_GROUP ? count - from : CVX_GROUP;
    float out[CVX_GROUP + 4];
    cvx_prefetch(view, slots + from, group);
    cvx_apart(view, query, slots + from, group, out);
    memcpy(distances + from, out, group * sizeof(float));
  }
}

void cvx_set_list(const cvx_view *view, uint32_t target, uint32_t layer, const uint32_t *slots,
                  uint32_t count) {
  uint32_t *edges = cvx_edges(view, target, layer), degree = cvx_degree(view, layer);
  for (uint32_t at = 0; at < degree; at++)
    cvx_set_edge(edges + at, at < count ? slots[at] : CVX_NONE);
}

// Whether the list is in order; `chosen` is set then.
static int find_order(ordered *list) {
  uint32_t falls = 0;
  list->chosen = list->count;
  for (uint32_t at = 1; at < list->count; at++) {
    if (list->distances[at] >= list->distances[at - 1]) continue;
    if (falls++ == 0) list->chosen = at;
  }
  return falls <= FALLS_MAX;
}

static void insert_at(ordered *list, uint32_t at, uint32_t slot, float distance) {
  uint32_t moved = list->count++ - at;
  memmove(list->slots + at + 1, list->slots + at, moved * sizeof(uint32_t));
  memmove(list->distances + at + 1, list->distances + at, moved * sizeof(float));
  list->slots[at] = slot;
  list->distances[at] = distance;
}

static void remove_at(ordered *list, uint32_t at) {
  uint32_t moved = --list->count - at;
  memmove(list->slots + at, list->slots + at + 1, moved * sizeof(uint32_t));
  memmove(list->distances + at, list->distances + at + 1, moved * sizeof(float));
}

// Puts an edge among those that fill the list.
static void fill(ordered *list, uint32_t slot, float distance) {
  uint32_t at = list->chosen;
  while (at < list->count && list->distances[at] <= distance) at++;
  insert_at(list, at, slot, distance);
}

// Makes those of the chosen from `place` on that are nearer to one at `place` than to the row a
// part of the fill. From the far end, so that `between` goes by the places that are left.
static void pass_over(ordered *list, uint32_t place, const float *between) {
  for (uint32_t at = list->chosen; at-- > place;) {
    float distance = list->distances[at];
    if (between[at] >= distance) continue;
    uint32_t slot = list->slots[at];
    remove_at(list, at);
    list->chosen--;
    fill(list, slot, distance);
  }
}

// Whether one of the `chosen` leads to the candidate well enough: it is nearer to it than the base
// is. Or as far from the base, so most likely a copy of the candidate: under inner product a copy
// need not be near, and a list of thirty copies leads nowhere.
static int is_shadowed(const cvx_view *view, const cvx_query *candidate, float distance,
                       const uint32_t *chosen, const float *base, uint32_t count) {
  float between[8];
  for (uint32_t at = 0; at < count; at += 4) {
    uint32_t group = count - at < 4 ? count - at : 4;
    cvx_apart(view, candidate, chosen + at, group, between);
    for (uint32_t lane = 0; lane < group; lane++) {
      if (between[lane] < distance || base[at + lane] == distance) return 1;
    }
  }
  return 0;
}

// Puts one more edge where it belongs in a list that is full and in order; the one that is needed
// least falls out.
static void take(const cvx_view *view, cvx_scratch *scratch, ordered *list, uint32_t slot,
                 float distance, int is_fine) {
  float between[CVX_DEGREE_MAX + 4];
  uint32_t place = 0, degree = list->count;
  cvx_query query = {.codes = scratch->row_codes};
  cvx_query_of_row(view, slot, &query);
  if (is_fine) cvx_sharpen_row(view, slot, &query, scratch->row_fine);
  while (place < list->chosen && list->distances[place] <= distance) place++;
  if (is_shadowed(view, &query, distance, list->slots, list->distances, place)) {
    fill(list, slot, distance);
  } else {
    uint32_t rest = list->chosen - place;
    cvx_measure(view, &query, list->slots + place, rest, between + place);
    pass_over(list, place, between);
    insert_at(list, place, slot, distance);
    list->chosen++;
  }
  list->count = degree;
  list->chosen = list->chosen < degree ? list->chosen : degree;
}

uint32_t cvx_rank(const cvx_view *view, cvx_scratch *scratch, const uint32_t *slots,
                  const float *distances, uint32_t count) {
  uint32_t held = 0;
  if (count == 0) return 0;
  cvx_reserve_pool(scratch, count);
  cvx_offer(view, scratch->pool, &held, count, slots, distances, count, CVX_NONE, 0);
  return held;
}

// Of `sources`, those that are not in the list behind its `held` edges.
static uint32_t append_new(uint32_t target, uint32_t *all, uint32_t held, const uint32_t *sources,
                           uint32_t count) {
  for (uint32_t at = 0; at < count && held < 2 * CVX_DEGREE_MAX; at++) {
    int is_there = sources[at] == target;
    for (uint32_t other = 0; other < held; other++) is_there |= all[other] == sources[at];
    if (!is_there) all[held++] = sources[at];
  }
  return held;
}

void cvx_link(const cvx_view *view, cvx_scratch *scratch, uint32_t target, uint32_t layer,
              const uint32_t *sources, uint32_t count) {
  uint32_t all[2 * CVX_DEGREE_MAX], degree = cvx_degree(view, layer), before = 0;
  float distances[2 * CVX_DEGREE_MAX + 4];
  const uint32_t *edges = cvx_edges(view, target, layer);
  for (uint32_t at = 0; at < degree; at++) {
    uint32_t slot = cvx_edge(edges + at);
    if (slot != CVX_NONE) all[before++] = slot;
  }
  uint32_t held = append_new(target, all, before, sources, count);
  if (held <= degree) return cvx_set_list(view, target, layer, all, held);
  cvx_query query = {.codes = scratch->query_codes};
  cvx_query_of_row(view, target, &query);
  cvx_measure(view, &query, all, held, distances);
  int is_fine = layer == 0 && cvx_is_list_blurred(view, &query, all, distances, held);
  if (is_fine) {
    cvx_sharpen_row(view, target, &query, scratch->query_fine);
    cvx_measure(view, &query, all, held, distances);
  }
  ordered list;
  list.count = before;
  memcpy(list.slots, all, before * sizeof(uint32_t));
  memcpy(list.distances, distances, before * sizeof(float));
  if (before == degree && find_order(&list)) {
    for (uint32_t at = before; at < held; at++)
      take(view, scratch, &list, all[at], distances[at], is_fine);
    return cvx_set_list(view, target, layer, list.slots, list.count);
  }
  uint32_t kept = cvx_rank(view, scratch, all, distances, held);
  uint32_t taken = cvx_select(view, scratch, scratch->pool, kept, degree, is_fine, list.slots);
  cvx_set_list(view, target, layer, list.slots, taken);
}
