// Walks over the graph. Readers take no lock: edges are read word by word, every slot that is
// read is held against the count the walk began with, so that no content of a file and no change
// beside it leads outside the arrays.
#include "graph.h"

/// Removed rows that a walk follows beside half as many as it has candidates: where more are around,
/// there are better ways.
#define PAST_MIN 16

/// Candidates that a wide walk follows at once: their rows come from memory together.
#define AT_ONCE 4
/// The last of so many candidates of a wide walk are not followed: they lead to none that is chosen.
#define LAST_SHARE 10

CVX_INLINE void prefetch_row(const uint8_t *row, const cvx_factor *factor, uint32_t lines) {
  for (uint32_t line = 0; line < lines; line++) __builtin_prefetch(row + 64 * line);
  __builtin_prefetch(factor);
}

/// Lines asked for ahead of one group: more than the processor can have on their way gain nothing.
#define LINES_AHEAD 256

// `usual` is a constant where this is inlined: as many lines as most rows have, without a loop.
CVX_INLINE void prefetch_rows(const uint8_t *rows, uint32_t stride, const cvx_factor *factors,
                              const uint32_t *slots, uint32_t count, uint32_t usual) {
  uint32_t lines = stride / 64;
  if (lines * count > LINES_AHEAD) lines = LINES_AHEAD / count > 2 ? LINES_AHEAD / count : 2;
  if (lines > stride / 64) lines = stride / 64;
  if (lines == usual) {
    for (uint32_t at = 0; at < count; at++)
      prefetch_row(rows + (size_t)slots[at] * stride, factors + slots[at], usual);
  } else {
    for (uint32_t at = 0; at < count; at++)
      prefetch_row(rows + (size_t)slots[at] * stride, factors + slots[at], lines);
  }
}

void cvx_prefetch(const cvx_view *view, const uint32_t *slots, uint32_t count) {
  prefetch_rows(view->codes, view->stride, view->factors, slots, count, 6);
}

// Asks for rows that a walk measures next.
CVX_INLINE void ask(const cvx_view *view, const cvx_query *query, const uint32_t *slots,
                    uint32_t count) {
  if (query->by_nibbles)
    prefetch_rows(view->nibbles, view->nibble_stride, view->nibble_factors, slots, count, 3);
  else cvx_prefetch(view, slots, count);
}

CVX_INLINE void measure(const cvx_view *view, const cvx_query *query, const uint32_t *slots,
                        uint32_t count, float *distances) {
  if (query->by_nibbles) cvx_nibble_distances(view, query, slots, count, distances);
  else cvx_distances(view, query, slots, count, distances);
}

uint32_t cvx_collect(const cvx_view *view, cvx_scratch *scratch, uint32_t slot, uint32_t layer,
                     uint32_t count, uint32_t *fresh) {
  if (layer > 0 && cvx_level(view, slot) < layer) return 0;
  uint32_t found = cvx_unseen(scratch->visited, cvx_edges(view, slot, layer),
                              cvx_degree(view, layer), count, fresh);
  cvx_touch(scratch, fresh, found);
  return found;
}

void cvx_mark(cvx_scratch *scratch, uint32_t slot) {
  scratch->visited[slot >> 6] |= 1ull << (slot & 63);
  cvx_touch(scratch, &slot, 1);
}

// A step of the greedy descent, by 8 bits: the nearest among the unseen neighbours and `best`.
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

// Begins a walk at `start`, which is there or not.
CVX_INLINE void begin(cvx_scratch *scratch, uint32_t count, uint64_t start, uint32_t ef) {
  cvx_visit_begin(scratch, count);
  cvx_reserve_pool(scratch, ef);
  scratch->pool[0] = start;
  scratch->pool_count = 1;
  cvx_mark(scratch, cvx_key_slot(start));
}

// Neighbours whose rows are on their way.
typedef struct {
  uint32_t slots[CVX_DEGREE_MAX + 1];
  uint32_t count;
} ahead;

// Measures and offers them, removed ones to `aside` where that is not null; where the walk goes on, of
// `next` and the lowest place that was taken.
CVX_INLINE uint32_t take(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch,
                         ahead *rows, uint32_t layer, uint32_t room, uint32_t next,
                         cvx_aside *aside) {
  float distances[CVX_GROUP + 4];
  for (uint32_t from = 0; from < rows->count; from += CVX_GROUP) {
    uint32_t group = rows->count - from < CVX_GROUP ? rows->count - from : CVX_GROUP;
    if (from > 0) ask(view, query, rows->slots + from, group);
    measure(view, query, rows->slots + from, group, distances);
    uint32_t lowest =
        cvx_offer(view, scratch->pool, &scratch->pool_count, room, rows->slots + from, distances,
                  group, layer, aside);
    next = lowest < next ? lowest : next;
  }
  scratch->evaluations += rows->count;
  rows->count = 0;
  return next;
}

// Whether the candidate at `cursor` is among the `ef` nearest.
CVX_INLINE int is_followed(const cvx_scratch *scratch, uint32_t cursor, uint32_t ef) {
  return cursor < scratch->pool_count && cursor < ef;
}

// While the rows of one candidate's neighbours come from memory, those of the one before are
// measured. Once the list is full, nearly all in it are followed whatever their order, so that
// this costs no rows. The neighbours of the nearest candidate are not put off: they lead on.
void cvx_walk(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch, uint32_t count,
              uint64_t start, uint32_t layer, uint32_t ef, uint32_t room) {
  ahead rows[2];
  uint32_t cursor = 0, side = 0;
  rows[0].count = rows[1].count = 0;
  begin(scratch, count, start, room);
  while (is_followed(scratch, cursor, ef) || rows[1 - side].count > 0) {
    uint32_t next = cursor, is_late = scratch->pool_count >= ef && cursor > 0;
    if (is_followed(scratch, cursor, ef)) {
      uint32_t slot = cvx_key_slot(scratch->pool[cursor]);
      scratch->pool[cursor] |= CVX_EXPANDED;
      rows[side].count = cvx_collect(view, scratch, slot, layer, count, rows[side].slots);
      uint32_t first = rows[side].count < CVX_GROUP ? rows[side].count : CVX_GROUP;
      ask(view, query, rows[side].slots, first);
      next = cursor + 1;
    }
    next = take(view, query, scratch, &rows[1 - side], layer, room, next, 0);
    if (!is_late) next = take(view, query, scratch, &rows[side], layer, room, next, 0);
    while (next < scratch->pool_count && (scratch->pool[next] & CVX_EXPANDED)) next++;
    cursor = next;
    side = 1 - side;
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
    ask(view, query, fresh + from, group);
    measure(view, query, fresh + from, group, distances);
    uint32_t lowest = cvx_offer(view, scratch->pool, &scratch->pool_count, ef, fresh + from,
                                distances, group, layer, 0);
    next = lowest < next ? lowest : next;
  }
  scratch->evaluations += found;
  while (next < scratch->pool_count && (scratch->pool[next] & CVX_EXPANDED)) next++;
  return next;
}

void cvx_walk_wide(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch,
                   uint32_t count, uint64_t start, uint32_t layer, uint32_t ef) {
  begin(scratch, count, start, ef);
  uint32_t cursor = 0, followed = ef - ef / LAST_SHARE;
  while (cursor < scratch->pool_count && cursor < followed)
    cursor = expand_some(view, query, scratch, count, layer, ef, cursor);
  cvx_visit_end(scratch);
}

// Whether the nearest removed row is to be followed before the candidate at `cursor`.
CVX_INLINE int is_removed_next(const cvx_scratch *scratch, const cvx_aside *aside, uint32_t cursor,
                               uint32_t ef) {
  if (aside->count == 0) return 0;
  if (is_followed(scratch, cursor, ef)) return aside->keys[0] < scratch->pool[cursor];
  return scratch->pool_count < ef || aside->keys[0] < (scratch->pool[ef - 1] & ~CVX_EXPANDED);
}

// The row that a walk past removed ones follows next, or CVX_NONE.
CVX_INLINE uint32_t next_past(cvx_scratch *scratch, cvx_aside *aside, uint32_t *cursor, uint32_t ef,
                              uint32_t *passed) {
  if (is_removed_next(scratch, aside, *cursor, ef)) {
    uint32_t slot = cvx_key_slot(aside->keys[0]);
    memmove(aside->keys, aside->keys + 1, --aside->count * sizeof(uint64_t));
    *passed += 1;
    return slot;
  }
  if (!is_followed(scratch, *cursor, ef)) return CVX_NONE;
  scratch->pool[*cursor] |= CVX_EXPANDED;
  return cvx_key_slot(scratch->pool[(*cursor)++]);
}

int cvx_walk_past(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch,
                  uint32_t count, uint64_t start, uint32_t ef, uint32_t room) {
  ahead rows[2];
  cvx_aside aside;
  uint32_t cursor = 0, passed = 0, side = 0;
  rows[0].count = rows[1].count = aside.count = 0;
  begin(scratch, count, start, room);
  if (!cvx_is_live(view->live, cvx_key_slot(start))) {
    aside.keys[aside.count++] = start;
    scratch->pool_count = 0;
  }
  while (passed <= ef / 2 + PAST_MIN) {
    uint32_t is_late = scratch->pool_count >= ef && cursor > 0;
    uint32_t slot = next_past(scratch, &aside, &cursor, ef, &passed);
    if (slot == CVX_NONE && rows[1 - side].count == 0) break;
    if (slot != CVX_NONE) {
      rows[side].count = cvx_collect(view, scratch, slot, 0, count, rows[side].slots);
      uint32_t first = rows[side].count < CVX_GROUP ? rows[side].count : CVX_GROUP;
      ask(view, query, rows[side].slots, first);
    }
    cursor = take(view, query, scratch, &rows[1 - side], 0, room, cursor, &aside);
    if (!is_late) cursor = take(view, query, scratch, &rows[side], 0, room, cursor, &aside);
    while (cursor < scratch->pool_count && (scratch->pool[cursor] & CVX_EXPANDED)) cursor++;
    side = 1 - side;
  }
  cvx_visit_end(scratch);
  return passed <= ef / 2 + PAST_MIN;
}
