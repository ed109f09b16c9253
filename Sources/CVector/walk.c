// Walks over the graph. Readers take no lock: edges are read word by word, every slot that is
// read is held against the count the walk began with, so that no content of a file and no change
// beside it leads outside the arrays.
#include "graph.h"

/// Removed rows that a walk keeps in mind, and that it follows beside half as many as it has
/// candidates: where more are around, there are better ways.
#define PAST_MAX 64
#define PAST_MIN 16

/// Candidates that a wide walk follows at once: their rows come from memory together.
#define AT_ONCE 4

CVX_INLINE void prefetch_row(const cvx_view *view, uint32_t slot, uint32_t lines) {
  const uint8_t *row = cvx_row(view, slot);
  for (uint32_t line = 0; line < lines; line++) __builtin_prefetch(row + 64 * line);
  __builtin_prefetch(&view->factors[slot]);
}

/// Lines asked for ahead of one group: more than the processor can have on their way gain nothing.
#define LINES_AHEAD 256

void cvx_prefetch(const cvx_view *view, const uint32_t *slots, uint32_t count) {
  uint32_t lines = view->stride / 64;
  if (lines * count > LINES_AHEAD) lines = LINES_AHEAD / count > 2 ? LINES_AHEAD / count : 2;
  if (lines > view->stride / 64) lines = view->stride / 64;
  if (lines == 6) {
    for (uint32_t at = 0; at < count; at++) prefetch_row(view, slots[at], 6);
  } else {
    for (uint32_t at = 0; at < count; at++) prefetch_row(view, slots[at], lines);
  }
}

// Of a list, the slots not seen before; each is marked. No branch depends on the data.
CVX_INLINE uint32_t collect(cvx_scratch *scratch, const uint32_t *edges, uint32_t degree,
                            uint32_t count, uint32_t *fresh) {
  uint64_t *visited = scratch->visited;
  uint32_t found = 0;
  for (uint32_t at = 0; at < degree; at++) {
    uint32_t slot = cvx_edge(edges + at);
    uint32_t is_inside = slot < count;
    slot = is_inside ? slot : 0;
    uint64_t word = visited[slot >> 6], bit = (uint64_t)is_inside << (slot & 63);
    fresh[found] = slot;
    found += (word & bit) != bit;
    visited[slot >> 6] = word | bit;
  }
  return found;
}

uint32_t cvx_collect(const cvx_view *view, cvx_scratch *scratch, uint32_t slot, uint32_t layer,
                     uint32_t count, uint32_t *fresh) {
  if (layer > 0 && cvx_level(view, slot) < layer) return 0;
  uint32_t found = collect(scratch, cvx_edges(view, slot, layer), cvx_degree(view, layer), count,
                           fresh);
  cvx_touch(scratch, fresh, found);
  return found;
}

void cvx_mark(cvx_scratch *scratch, uint32_t slot) {
  scratch->visited[slot >> 6] |= 1ull << (slot & 63);
  cvx_touch(scratch, &slot, 1);
}

// Where `key` goes among `count` sorted ones.
CVX_INLINE uint32_t place(const uint64_t *pool, uint32_t count, uint64_t key) {
  const uint64_t *base = pool;
  while (count > 1) {
    uint32_t half = count / 2;
    base = base[half - 1] < key ? base + half : base;
    count -= half;
  }
  return (uint32_t)(base - pool) + (count == 1 && base[0] < key);
}

// Puts `key` into a sorted list of at most `capacity`; the last falls out of a full one.
uint32_t cvx_insert(uint64_t *pool, uint32_t *count, uint32_t capacity, uint64_t key) {
  uint32_t at = place(pool, *count, key);
  if (at == capacity) return at;
  uint32_t moved = *count - at - (*count == capacity);
  memmove(pool + at + 1, pool + at, (size_t)moved * 8);
  pool[at] = key;
  *count += *count < capacity;
  return at;
}

// A step of the greedy descent: the nearest among the unseen neighbours and `best`.
static uint64_t improved(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch,
                         uint32_t count, uint32_t layer, uint64_t best) {
  uint32_t fresh[CVX_DEGREE_MAX + 1];
  float distances[CVX_GROUP + 4];
  uint32_t found = cvx_collect(view, scratch, cvx_key_slot(best), layer, count, fresh);
  for (uint32_t from = 0; from < found; from += CVX_GROUP) {
    uint32_t group = found - from < CVX_GROUP ? found - from : CVX_GROUP;
    cvx_prefetch(view, fresh + from, group);
    cvx_distances(view, query, fresh + from, group, distances);
    for (uint32_t at = 0; at < group; at++) {
      uint64_t key = cvx_key(distances[at], fresh[from + at]);
      best = key < best ? key : best;
    }
  }
  scratch->evaluations += found;
  return best;
}

uint64_t cvx_descend(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch,
                     uint32_t count, uint32_t entry, uint32_t above) {
  float distance[8];
  cvx_visit_begin(scratch, count);
  cvx_mark(scratch, entry);
  cvx_distances(view, query, &entry, 1, distance);
  scratch->evaluations += 1;
  uint64_t best = cvx_key(distance[0], entry);
  for (uint32_t layer = cvx_level(view, entry); layer > above; layer--) {
    for (;;) {
      uint64_t better = improved(view, query, scratch, count, layer, best);
      if (better == best) break;
      best = better;
    }
  }
  cvx_visit_end(scratch);
  return best;
}

// Offers a group of rows to the pool; the lowest place that one of them took. Where the walk is one
// past removed rows, those go to a list of their own.
CVX_INLINE uint32_t offer(const cvx_view *view, cvx_scratch *scratch, const uint32_t *slots,
                          const float *distances, uint32_t count, uint32_t ef, uint32_t layer,
                          int is_past) {
  uint64_t *pool = scratch->pool;
  uint32_t lowest = UINT32_MAX;
  uint64_t worst = scratch->pool_count == ef ? pool[ef - 1] : UINT64_MAX;
  for (uint32_t at = 0; at < count; at++) {
    uint64_t key = cvx_key(distances[at], slots[at]);
    if (key >= worst) continue;
    if (is_past && !cvx_is_live(view->live, slots[at])) {
      cvx_insert(scratch->found, &scratch->found_count, PAST_MAX, key);
      continue;
    }
    uint32_t position = cvx_insert(pool, &scratch->pool_count, ef, key);
    if (layer == 0) {
      const uint32_t *edges = cvx_edges(view, slots[at], 0);
      __builtin_prefetch(edges);
      __builtin_prefetch(edges + 16);
    }
    lowest = position < lowest ? position : lowest;
    worst = scratch->pool_count == ef ? pool[ef - 1] : UINT64_MAX;
  }
  return lowest;
}

// Follows the edges of `slot`; where the walk goes on, of `next` and the lowest place that was
// taken.
CVX_INLINE uint32_t expand(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch,
                           uint32_t count, uint32_t slot, uint32_t layer, uint32_t ef,
                           uint32_t next, int is_past) {
  uint32_t fresh[CVX_DEGREE_MAX + 1];
  float distances[CVX_GROUP + 4];
  uint32_t found = cvx_collect(view, scratch, slot, layer, count, fresh);
  for (uint32_t from = 0; from < found; from += CVX_GROUP) {
    uint32_t group = found - from < CVX_GROUP ? found - from : CVX_GROUP;
    cvx_prefetch(view, fresh + from, group);
    cvx_distances(view, query, fresh + from, group, distances);
    uint32_t lowest =
        offer(view, scratch, fresh + from, distances, group, ef, layer, is_past);
    next = lowest < next ? lowest : next;
  }
  scratch->evaluations += found;
  while (next < scratch->pool_count && (scratch->pool[next] & CVX_EXPANDED)) next++;
  return next;
}

// Begins a walk at `start`, which is there or not.
CVX_INLINE void begin(cvx_scratch *scratch, uint32_t count, uint64_t start, uint32_t ef) {
  cvx_visit_begin(scratch, count);
  cvx_reserve_pool(scratch, ef);
  scratch->pool[0] = start;
  scratch->pool_count = 1;
  cvx_mark(scratch, cvx_key_slot(start));
}

void cvx_walk(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch, uint32_t count,
              uint64_t start, uint32_t layer, uint32_t ef) {
  begin(scratch, count, start, ef);
  uint32_t cursor = 0;
  while (cursor < scratch->pool_count) {
    uint32_t slot = cvx_key_slot(scratch->pool[cursor]);
    scratch->pool[cursor] |= CVX_EXPANDED;
    cursor = expand(view, query, scratch, count, slot, layer, ef, cursor + 1, 0);
  }
  cvx_visit_end(scratch);
}

// Of the candidates from `cursor` on, follows some at once; where the walk goes on.
static uint32_t expand_some(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch,
                            uint32_t count, uint32_t layer, uint32_t ef, uint32_t cursor) {
  uint32_t fresh[AT_ONCE * CVX_DEGREE_MAX + 1], found = 0;
  float distances[CVX_GROUP + 4];
  for (uint32_t taken = 0; taken < AT_ONCE && cursor < scratch->pool_count; cursor++) {
    if (scratch->pool[cursor] & CVX_EXPANDED) continue;
    uint32_t slot = cvx_key_slot(scratch->pool[cursor]);
    scratch->pool[cursor] |= CVX_EXPANDED;
    found += cvx_collect(view, scratch, slot, layer, count, fresh + found);
    taken++;
  }
  uint32_t next = cursor;
  for (uint32_t from = 0; from < found; from += CVX_GROUP) {
    uint32_t group = found - from < CVX_GROUP ? found - from : CVX_GROUP;
    cvx_prefetch(view, fresh + from, group);
    cvx_distances(view, query, fresh + from, group, distances);
    uint32_t lowest = offer(view, scratch, fresh + from, distances, group, ef, layer, 0);
    next = lowest < next ? lowest : next;
  }
  scratch->evaluations += found;
  while (next < scratch->pool_count && (scratch->pool[next] & CVX_EXPANDED)) next++;
  return next;
}

void cvx_walk_wide(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch,
                   uint32_t count, uint64_t start, uint32_t layer, uint32_t ef) {
  begin(scratch, count, start, ef);
  uint32_t cursor = 0;
  while (cursor < scratch->pool_count)
    cursor = expand_some(view, query, scratch, count, layer, ef, cursor);
  cvx_visit_end(scratch);
}

// Whether the nearest removed row is to be followed before the candidate at `cursor`.
CVX_INLINE int is_removed_next(const cvx_scratch *scratch, uint32_t cursor, uint32_t ef) {
  if (scratch->found_count == 0) return 0;
  if (cursor < scratch->pool_count) return scratch->found[0] < scratch->pool[cursor];
  return scratch->pool_count < ef ||
         scratch->found[0] < (scratch->pool[ef - 1] & ~CVX_EXPANDED);
}

int cvx_walk_past(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch,
                  uint32_t count, uint64_t start, uint32_t ef) {
  cvx_reserve_found(scratch, PAST_MAX);
  begin(scratch, count, start, ef);
  uint32_t cursor = 0, passed = 0;
  scratch->found_count = 0;
  if (!cvx_is_live(view->live, cvx_key_slot(start))) {
    scratch->found[scratch->found_count++] = start;
    scratch->pool_count = 0;
  }
  while (passed <= ef / 2 + PAST_MIN) {
    uint32_t slot;
    if (is_removed_next(scratch, cursor, ef)) {
      slot = cvx_key_slot(scratch->found[0]);
      memmove(scratch->found, scratch->found + 1, --scratch->found_count * sizeof(uint64_t));
      passed++;
    } else if (cursor < scratch->pool_count) {
      slot = cvx_key_slot(scratch->pool[cursor]);
      scratch->pool[cursor++] |= CVX_EXPANDED;
    } else {
      break;
    }
    cursor = expand(view, query, scratch, count, slot, 0, ef, cursor, 1);
  }
  cvx_visit_end(scratch);
  return passed <= ef / 2 + PAST_MIN;
}
