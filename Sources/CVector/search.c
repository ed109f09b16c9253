#include "graph.h"

#include <math.h>

/// Candidates compared by all their bits for k answers: more than k, since codes order near ties
/// at random.
uint32_t cvx_reranked(uint32_t k) { return k + (k / 2 < 16 ? 16 : k / 2); }

/// Candidates behind the `ef` nearest that are compared by all bits where fewer than usual are in
/// front of them: codes may have put one of the k nearest there.
#define SPARE 8

static uint32_t room_of(uint32_t k, uint32_t ef) {
  uint32_t wanted = cvx_reranked(k);
  return ef >= wanted ? ef : ef + SPARE < wanted ? ef + SPARE : wanted;
}

/// Live rows up to which an index with removed ones weighs a walk against a scan: the scan costs
/// about as much there, and misses nothing.
#define SCANNED_MAX 8192

static int is_before(cvx_answer a, cvx_answer b) {
  return a.distance < b.distance || (a.distance == b.distance && a.slot < b.slot);
}

/// Answers up to which one pass sorts them: they come nearly in order.
#define SORTED_AT_ONCE 64

static void sort_answers(cvx_answer *answers, uint32_t count) {
  for (uint32_t gap = count > SORTED_AT_ONCE ? count / 2 : 1; gap > 0; gap /= 2)
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

// A candidate's distance by its codes, as `cvx_exact` gives it by all bits.
static float coarse(const cvx_view *view, uint64_t candidate) {
  float distance = cvx_key_distance(candidate);
  return view->metric == CVX_COSINE ? distance / 2 : distance;
}

// Puts one more among the k nearest, which are sorted.
static void replace_last(cvx_answer *answers, uint32_t k, cvx_answer answer) {
  uint32_t at = k - 1;
  for (; at > 0 && is_before(answer, answers[at - 1]); at--) answers[at] = answers[at - 1];
  answers[at] = answer;
}

// Rows whose bits are asked for ahead of the one that is compared.
#define AHEAD 16
/// Candidates behind those that are compared in any case whose bits are asked for with them.
#define AHEAD_OF_REST 4
/// A distance by codes that is farther off than so many times the usual error, and than twice the
/// largest met so far, is not waited for.
#define ERRORS_BEHIND 4

// How far codes may have put a candidate behind its place.
static float doubt(const cvx_view *view, const cvx_query *query, uint64_t candidate, float met) {
  float usual = cvx_usual_error(view, query, cvx_key_slot(candidate), cvx_key_distance(candidate));
  if (view->metric == CVX_COSINE) usual /= 2;
  return fmaxf(ERRORS_BEHIND * usual, 2 * met);
}

// Goes on through the candidates from `at` while one may be among the k nearest: those before
// `usual` by what codes may err, those behind it if they err no more there than they did so far.
static void rerank_rest(const cvx_view *view, const cvx_query *query, const uint64_t *candidates,
                        uint32_t at, uint32_t usual, uint32_t count, uint32_t k, float error,
                        cvx_answer *answers) {
  for (; at < count; at++) {
    float distance = coarse(view, candidates[at]);
    float margin = at < usual ? doubt(view, query, candidates[at], error) : error;
    if (distance - margin > answers[k - 1].distance) return;
    if (at + AHEAD_OF_REST < count)
      prefetch_exact(view, cvx_key_slot(candidates[at + AHEAD_OF_REST]));
    uint32_t slot = cvx_key_slot(candidates[at]);
    if (!cvx_is_live(view->live, slot)) continue;
    cvx_answer answer = {slot, cvx_exact(view, query, slot)};
    error = fmaxf(error, fabsf(answer.distance - distance));
    if (is_before(answer, answers[k - 1])) replace_last(answers, k, answer);
  }
}

// The k nearest of sorted candidates by all their bits. Of a row that was replaced since the walk
// met it, the new one may be among them too: only what is there now is an answer.
uint32_t cvx_rerank(const cvx_view *view, cvx_scratch *scratch, const cvx_query *query,
                    const uint64_t *candidates, uint32_t count, uint32_t k,
                    cvx_answer *answers) {
  uint32_t usual = cvx_reranked(k) < count ? cvx_reranked(k) : count;
  uint32_t asked = k + AHEAD_OF_REST < count ? k + AHEAD_OF_REST : count, kept = 0, at = 0;
  cvx_answer *all = cvx_reserve_answers(scratch, cvx_reranked(k));
  for (uint32_t first = 0; first < asked && first < AHEAD; first++)
    prefetch_exact(view, cvx_key_slot(candidates[first]));
  float error = 0;
  for (; at < count && kept < k; at++) {
    if (at + AHEAD < asked) prefetch_exact(view, cvx_key_slot(candidates[at + AHEAD]));
    uint32_t slot = cvx_key_slot(candidates[at]);
    if (!cvx_is_live(view->live, slot)) continue;
    float distance = cvx_exact(view, query, slot);
    error = fmaxf(error, fabsf(distance - coarse(view, candidates[at])));
    all[kept++] = (cvx_answer){slot, distance};
  }
  sort_answers(all, kept);
  if (k > 0 && kept == k)
    rerank_rest(view, query, candidates, at, usual, count, k, error, all);
  memcpy(answers, all, kept * sizeof(cvx_answer));
  return kept;
}

// Leaves the candidates for k answers in the pool, by their 8-bit codes; zero where too many removed
// rows are around. The way down goes by these: it follows one row at a time, and a wrong one may lead
// to where nothing leads back from.
static int walk(const cvx_view *view, cvx_scratch *scratch, const cvx_query *query, uint32_t k,
                uint32_t ef, uint32_t room, uint32_t count, uint32_t entry) {
  uint64_t start = cvx_descend(view, query, scratch, count, entry, 0);
  cvx_query near = *query;
  near.by_nibbles = cvx_by_nibbles(view);
  int is_whole = 1, are_settled;
  do {
    if (cvx_removed_count(view) == 0) cvx_walk(view, &near, scratch, count, start, 0, ef, room);
    else is_whole = cvx_walk_past(view, &near, scratch, count, start, ef, room);
    are_settled = !near.by_nibbles || !is_whole || cvx_settle(view, query, scratch, k);
    near.by_nibbles = 0;
  } while (!are_settled);
  return is_whole;
}

uint32_t cvx_search(const cvx_view *view, cvx_scratch *scratch, const cvx_query *query,
                    uint32_t k, uint32_t ef, const uint64_t *allow, uint32_t count,
                    cvx_answer *answers) {
  uint32_t live = cvx_live_count(view);
  if (count == 0 || live == 0) return 0;
  uint32_t entry = cvx_entry(view);
  if (entry >= count) return 0;
  if (ef >= count) return cvx_scan(view, scratch, query, count, allow, k, answers);
  if (allow || (live < count && live <= SCANNED_MAX))
    return cvx_search_allowed(view, scratch, query, count, entry, k, ef, allow, answers);
  uint32_t room = room_of(k, ef);
  int is_whole = walk(view, scratch, query, k, ef, room, count, entry);
  if (is_whole && scratch->pool_count >= (k < live ? k : live)) {
    if (cvx_is_blurred(view, query, scratch->pool, scratch->pool_count)) {
      cvx_query sharp = cvx_sharp(view, scratch, query);
      cvx_walk_fine(view, &sharp, scratch, count, ef, room);
    }
    uint32_t found =
        cvx_rerank(view, scratch, query, scratch->pool, scratch->pool_count, k, answers);
    if (found >= (k < live ? k : live)) return found;
  }
  return cvx_search_allowed(view, scratch, query, count, entry, k, ef, 0, answers);
}

uint32_t cvx_find(const cvx_view *view, cvx_scratch *scratch, uint32_t k, uint32_t ef,
                  const uint64_t *allow, uint32_t count) {
  if (cvx_live_count(view) == 0) return 0;
  cvx_query query;
  cvx_prepare(view, scratch, scratch->query_exact, &query);
  cvx_reserve_results(scratch, k + 1);
  cvx_answer *answers = cvx_reserve_answers(scratch, cvx_reranked(k) + k) + cvx_reranked(k);
  uint32_t found = cvx_search(view, scratch, &query, k, ef, allow, count, answers);
  for (uint32_t at = 0; at < found; at++)
    scratch->results[at] = (cvx_result){view->ids[answers[at].slot], answers[at].distance};
  return found;
}
