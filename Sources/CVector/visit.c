// Which rows a walk has met: a bit a slot.
#include "graph.h"

// The slots whose bit is not set; each is marked. No branch depends on the data.
CVX_INLINE uint32_t mark_unseen(uint64_t *visited, const uint32_t *edges, uint32_t degree,
                                uint32_t count, uint32_t *fresh) {
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

static uint32_t unseen_baseline(uint64_t *visited, const uint32_t *edges, uint32_t degree,
                                uint32_t count, uint32_t *fresh) {
  return mark_unseen(visited, edges, degree, count, fresh);
}

// ThreadSanitizer knows nothing of loads as wide as a list, and would miss that what an edge leads to
// was written before it.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ONE_BY_ONE
#endif
#endif

#if defined(__x86_64__) && !defined(ONE_BY_ONE)
#include <immintrin.h>

#define WIDE __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,bmi,popcnt")))

// Most neighbours were met before: sixteen at a time are held against the bits, and only the others
// are looked at one by one, which also finds a slot that is in the list twice.
WIDE static uint32_t unseen_wide(uint64_t *visited, const uint32_t *edges, uint32_t degree,
                                 uint32_t count, uint32_t *fresh) {
  uint32_t maybe[CVX_DEGREE_MAX + 16], left = 0;
  const __m512i bound = _mm512_set1_epi32((int)count), one = _mm512_set1_epi32(1);
  for (uint32_t from = 0; from < degree; from += 16) {
    uint32_t rest = degree - from;
    __mmask16 here = rest >= 16 ? 0xFFFF : (__mmask16)((1u << rest) - 1);
    __m512i slots = _mm512_maskz_loadu_epi32(here, edges + from);
    here = _mm512_mask_cmplt_epu32_mask(here, slots, bound);
    __m512i words = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), here,
                                                _mm512_srli_epi32(slots, 5), visited, 4);
    __m512i bits = _mm512_sllv_epi32(one, _mm512_and_si512(slots, _mm512_set1_epi32(31)));
    here = _mm512_mask_testn_epi32_mask(here, words, bits);
    _mm512_storeu_si512(maybe + left, _mm512_maskz_compress_epi32(here, slots));
    left += (uint32_t)__builtin_popcount(here);
  }
  return mark_unseen(visited, maybe, left, count, fresh);
}
#endif

cvx_unseen_kernel cvx_unseen = unseen_baseline;

static cvx_unseen_kernel kernel_at(int level) {
#if defined(__x86_64__) && !defined(ONE_BY_ONE)
  if (level >= CVECTOR_AVX512_VNNI) return unseen_wide;
#endif
  (void)level;
  return unseen_baseline;
}

void cvx_choose_visit(int level) { cvx_unseen = kernel_at(level); }

uint32_t cvx_unseen_slots(int level, uint64_t *visited, const uint32_t *edges, uint32_t degree,
                          uint32_t count, uint32_t *fresh) {
  return kernel_at(level)(visited, edges, degree, count, fresh);
}
