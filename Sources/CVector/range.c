// The rows of one range of ids: what a tenant of an index that several share may see.
#include "graph.h"

CVX_INLINE int is_allowed(uint64_t number, const uint64_t *words, size_t word_count) {
  if (!words) return 1;
  return number >> 6 < word_count && (words[number >> 6] >> (number & 63) & 1);
}

uint32_t cvx_passing(const cvx_view *view, uint32_t count, const uint64_t *allow) {
  if (!allow) return cvx_live_count(view) < count ? cvx_live_count(view) : count;
  uint32_t passing = 0;
  for (uint64_t from = 0; from < count; from += 64) {
    uint64_t bits = allow[from / 64] & __atomic_load_n(&view->live[from / 64], __ATOMIC_RELAXED);
    if (count - from < 64) bits &= (1ull << (count - from)) - 1;
    passing += (uint32_t)__builtin_popcountll(bits);
  }
  return passing;
}

void cvx_allow_range(const cvx_view *view, uint32_t count, uint64_t first, uint64_t span,
                     const uint64_t *words, size_t word_count, uint64_t *allow) {
  for (uint64_t from = 0; from < count; from += 64) {
    uint64_t bits = 0;
    uint32_t last = count - from < 64 ? (uint32_t)(count - from) : 64;
    // Without a branch: rows of one tenant may lie anywhere.
    for (uint32_t bit = 0; bit < last; bit++)
      bits |= (uint64_t)(view->ids[from + bit] - first < span) << bit;
    for (uint64_t rest = words ? bits : 0; rest; rest &= rest - 1) {
      uint32_t bit = (uint32_t)__builtin_ctzll(rest);
      if (!is_allowed(view->ids[from + bit] - first, words, word_count)) bits &= ~(1ull << bit);
    }
    allow[from / 64] = bits & __atomic_load_n(&view->live[from / 64], __ATOMIC_RELAXED);
  }
}
