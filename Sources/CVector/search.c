#include "graph.h"

/// Candidates compared by all their bits for k answers: more than k, since codes order near ties
/// at random.
static uint32_t reranked(uint32_t k) { return k + (k / 2 < 16 ? 16 : k / 2); }

static int is_before(cvx_answer a, cvx_answer b) {
  return a.distance < b.distance || (a.distance == b.distance && a.slot < b.slot);
}

static void sort_answers(cvx_answer *answers, uint32_t count) {
  for (uint32_t gap = count / 2; gap > 0; gap /= 2)
    for (uint32_t at = gap; at < count; at++) {
      cvx_answer moved = answers[at];
      uint32_t to = at;
      for (; to >= gap && is_before(moved, answers[to - gap]); to -= gap)
        answers[to] = answers[to - gap];
      answers[to] = moved;
    }
}

static void prefetch_exact(const cvx_view *view, uint32_t slot) {
  if (!view->residuals) return;
  const int8_t *row = view->residuals + (size_t)slot * view->stride;
  for (uint32_t at = 0; at < view->stride; at += 64) __builtin_prefetch(row + at);
}

// The k nearest of sorted candidates by all their bits.
uint32_t cvx_rerank(const cvx_view *view, cvx_scratch *scratch, const cvx_query *query,
                    const uint64_t *candidates, uint32_t count, uint32_t k,
                    cvx_answer *answers) {
  uint32_t wanted = reranked(k) < count ? reranked(k) : count;
  cvx_answer *all = cvx_reserve_answers(scratch, wanted);
  for (uint32_t at = 0; at < wanted && at < 16; at++)
    prefetch_exact(view, cvx_key_slot(candidates[at]));
  for (uint32_t at = 0; at < wanted; at++) {
    if (at + 16 < wanted) prefetch_exact(view, cvx_key_slot(candidates[at + 16]));
    uint32_t slot = cvx_key_slot(candidates[at]);
    all[at] = (cvx_answer){slot, cvx_exact(view, query, slot)};
  }
  sort_answers(all, wanted);
  uint32_t found = wanted < k ? wanted : k;
  memcpy(answers, all, found * sizeof(cvx_answer));
  return found;
}

uint32_t cvx_search(const cvx_view *view, cvx_scratch *scratch, const cvx_query *query,
                    uint32_t count, uint32_t entry, uint32_t k, uint32_t ef,
                    cvx_answer *answers) {
  uint64_t start = cvx_descend(view, query, scratch, count, entry, 0);
  cvx_walk(view, query, scratch, count, start, 0, ef);
  return cvx_rerank(view, scratch, query, scratch->pool, scratch->pool_count, k, answers);
}
