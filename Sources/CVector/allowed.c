// Searches among some of the rows: those that a filter allows, or those that were not removed.
#include "graph.h"

#include <string.h>

/// What a row of a walk costs beside one of a scan, which goes through memory in order and keeps
/// no lists.
#define WALK_COST 4
/// Rows a walk looks at before it asks whether allowed ones come as often as they should.
#define SAMPLE 256
/// Of the share of all rows that is allowed, how much of it a walk must meet where it walks: below,
/// the allowed rows lie elsewhere, and a scan finds them sooner.
#define PASS_SHARE 0.7

// Distances of listed rows, by their codes or by all bits.
static void measure(const cvx_view *view, const cvx_query *query, uint32_t *slots, uint32_t count,
                    float *distances) {
  if (!query->fine) return cvx_scan_distances(view, query, slots, count, distances);
  for (uint32_t from = 0; from < count; from += CVX_GROUP) {
    uint32_t group = count - from < CVX_GROUP ? count - from : CVX_GROUP;
    cvx_apart(view, query, slots + from, group, distances + from);
  }
}

void cvx_scan_codes(const cvx_view *view, cvx_scratch *scratch, const cvx_query *query,
                    uint32_t count, const uint64_t *allow, uint32_t wanted) {
  uint32_t slots[CVX_LISTED_MAX + CVX_AHEAD + 4], word = 0;
  float distances[CVX_LISTED_MAX + CVX_AHEAD + 4];
  cvx_reserve_found(scratch, wanted + 1);
  scratch->found_count = 0;
  if (wanted == 0) return;
  while (word * 64ull < count) {
    uint32_t listed = cvx_list_allowed(view, allow, count, &word, slots);
    measure(view, query, slots, listed, distances);
    scratch->evaluations += listed;
    cvx_offer(view, scratch->found, &scratch->found_count, wanted, slots, distances, listed, 1,
              0);
  }
}

uint32_t cvx_scan(const cvx_view *view, cvx_scratch *scratch, const cvx_query *query,
                  uint32_t count, const uint64_t *allow, uint32_t k, cvx_answer *answers) {
  uint32_t wanted = cvx_reranked(k) < count ? cvx_reranked(k) : count;
  cvx_scan_codes(view, scratch, query, count, allow, wanted);
  if (cvx_is_blurred(view, query, scratch->found, scratch->found_count)) {
    cvx_query sharp = cvx_sharp(view, scratch, query);
    cvx_scan_codes(view, scratch, &sharp, count, allow, wanted);
  }
  return cvx_rerank(view, scratch, query, scratch->found, scratch->found_count, k, answers);
}

// Whether the walk goes on to the candidate at `cursor`.
CVX_INLINE int goes_on(const cvx_scratch *scratch, uint32_t cursor, uint32_t ef) {
  if (cursor >= scratch->pool_count) return 0;
  if (scratch->found_count < ef) return 1;
  return (scratch->pool[cursor] & ~CVX_EXPANDED) < scratch->found[ef - 1];
}

int cvx_walk_allowed(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch,
                     uint32_t count, uint64_t start, uint32_t layer, uint32_t ef, uint32_t width,
                     const uint64_t *allow, uint64_t limit, double share) {
  uint32_t fresh[CVX_DEGREE_MAX + 1], good[CVX_GROUP];
  float distances[CVX_GROUP + 4], near[CVX_GROUP + 4];
  cvx_visit_begin(scratch, count);
  cvx_reserve_pool(scratch, width);
  cvx_reserve_found(scratch, ef);
  uint32_t cursor = 0, first = cvx_key_slot(start);
  uint64_t seen = 1, passed = 0;
  int is_complete = 1;
  scratch->pool[0] = start;
  scratch->pool_count = 1;
  scratch->found_count = 0;
  cvx_mark(scratch, first);
  if (cvx_is_live(view->live, first) && (!allow || cvx_is_live(allow, first)))
    cvx_insert(scratch->found, &scratch->found_count, ef, start);
  while (goes_on(scratch, cursor, ef)) {
    uint32_t slot = cvx_key_slot(scratch->pool[cursor]);
    scratch->pool[cursor] |= CVX_EXPANDED;
    uint32_t found = cvx_collect(view, scratch, slot, layer, count, fresh), next = cursor + 1;
    for (uint32_t from = 0; from < found; from += CVX_GROUP) {
      uint32_t group = found - from < CVX_GROUP ? found - from : CVX_GROUP;
      cvx_prefetch(view, fresh + from, group);
      cvx_apart(view, query, fresh + from, group, distances);
      uint32_t passing = 0;
      for (uint32_t at = 0; at < group; at++) {
        uint32_t candidate = fresh[from + at];
        good[passing] = candidate;
        near[passing] = distances[at];
        passing += (uint32_t)(cvx_is_live(view->live, candidate) &&
                              (!allow || cvx_is_live(allow, candidate)));
      }
      passed += passing;
      cvx_offer(view, scratch->found, &scratch->found_count, ef, good, near, passing, 1,
                0);
      uint32_t lowest = cvx_offer(view, scratch->pool, &scratch->pool_count, width, fresh + from,
                                  distances, group, layer, 0);
      next = lowest < next ? lowest : next;
    }
    seen += found;
    if (seen > limit || (seen > SAMPLE && (double)passed < PASS_SHARE * share * (double)seen)) {
      is_complete = 0;
      break;
    }
    while (next < scratch->pool_count && (scratch->pool[next] & CVX_EXPANDED)) next++;
    cursor = next;
  }
  scratch->evaluations += seen;
  cvx_visit_end(scratch);
  return is_complete;
}

uint32_t cvx_search_allowed(const cvx_view *view, cvx_scratch *scratch, const cvx_query *query,
                            uint32_t count, uint32_t entry, uint32_t k, uint32_t ef,
                            const uint64_t *allow, cvx_answer *answers) {
  uint64_t allowed = cvx_count_allowed(view, allow, count);
  if (allowed == 0) return 0;
  double share = (double)allowed / (double)count;
  // Rows that a walk looks at: as many as fill the list of the allowed, and their neighbours.
  double expected = ((double)ef / share + 64) * view->degree / 2;
  if (expected * WALK_COST < (double)allowed) {
    double roomy = 1.5 * (double)ef / share + 32;
    uint32_t width = roomy < (double)count ? (uint32_t)roomy : count;
    width = width < ef ? ef : width;
    uint64_t start = cvx_descend(view, query, scratch, count, entry, 0);
    uint64_t limit = allowed / 2 + SAMPLE;
    int is_complete = cvx_walk_allowed(view, query, scratch, count, start, 0, ef, width, allow,
                                       limit, allow ? share : 0);
    if (is_complete && cvx_is_blurred(view, query, scratch->found, scratch->found_count)) {
      cvx_query sharp = cvx_sharp(view, scratch, query);
      is_complete = cvx_walk_allowed(view, &sharp, scratch, count, start, 0, ef, width, allow,
                                     limit, allow ? share : 0);
    }
    uint64_t least = k < allowed ? k : allowed;
    if (is_complete && scratch->found_count >= least)
      return cvx_rerank(view, scratch, query, scratch->found, scratch->found_count, k, answers);
  }
  return cvx_scan(view, scratch, query, count, allow, k, answers);
}

void cvx_allow_ids(const cvx_view *view, uint32_t count, const uint64_t *words, size_t word_count,
                   uint64_t *allow) {
  size_t slots = ((size_t)count + 63) / 64;
  if (__atomic_load_n(&view->ids_are_slots, __ATOMIC_RELAXED)) {
    size_t whole = word_count < slots ? word_count : slots;
    memcpy(allow, words, whole * 8);
    memset(allow + whole, 0, (slots - whole) * 8);
    return;
  }
  uint64_t bound = (uint64_t)word_count * 64;
  for (size_t word = 0; word < slots; word++) {
    uint64_t bits = 0;
    uint32_t first = (uint32_t)word * 64, last = count - first < 64 ? count - first : 64;
    for (uint32_t bit = 0; bit < last; bit++) {
      uint64_t id = view->ids[first + bit], is_inside = id < bound;
      id = is_inside ? id : 0;
      uint64_t passes = word_count ? (words[id >> 6] >> (id & 63)) & is_inside : 0;
      bits |= passes << bit;
    }
    allow[word] = bits;
  }
}
