// Sorted lists of candidates: what a walk keeps, and how a group of measured rows enters.
#include "graph.h"

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

// The edges of a candidate of layer 0 are needed soon.
CVX_INLINE void prefetch_edges(const cvx_view *view, uint32_t slot, uint32_t layer) {
  if (layer > 0) return;
  const uint32_t *edges = cvx_edges(view, slot, 0);
  __builtin_prefetch(edges);
  __builtin_prefetch(edges + 16);
}

// Whether the row was removed and goes aside; its edges are needed soon all the same.
CVX_INLINE int is_put_aside(const cvx_view *view, uint32_t slot, uint64_t key, cvx_aside *aside) {
  if (!aside || cvx_is_live(view->live, slot)) return 0;
  cvx_insert(aside->keys, &aside->count, CVX_ASIDE_MAX, key);
  prefetch_edges(view, slot, 0);
  return 1;
}

static uint32_t offer_baseline(const cvx_view *view, uint64_t *pool, uint32_t *held, uint32_t ef,
                               const uint32_t *slots, const float *distances, uint32_t count,
                               uint32_t layer, cvx_aside *aside) {
  uint32_t lowest = UINT32_MAX;
  if (count == 0) return lowest;
  uint64_t worst = *held == ef ? pool[ef - 1] : UINT64_MAX;
  for (uint32_t at = 0; at < count; at++) {
    uint64_t key = cvx_key(distances[at], slots[at]);
    if (key >= worst || is_put_aside(view, slots[at], key, aside)) continue;
    uint32_t position = cvx_insert(pool, held, ef, key);
    prefetch_edges(view, slots[at], layer);
    lowest = position < lowest ? position : lowest;
    worst = *held == ef ? pool[ef - 1] : UINT64_MAX;
  }
  return lowest;
}

#if defined(__x86_64__)
#include <immintrin.h>

#define WIDE __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,bmi,popcnt")))

/// Candidates up to which a key finds its place by moving every one.
#define MOVED_MAX 512
/// Registers of eight candidates each that a list is kept in while rows are put into it.
#define PARTS_MAX 8

// Every key of a sorted list, behind whose end all bits are set, is the smaller of itself and of
// the larger of the one before it and the new one.
WIDE CVX_INLINE void insert_wide(uint64_t *pool, uint32_t capacity, uint64_t key) {
  __m512i one = _mm512_set1_epi64((long long)key), before = _mm512_setzero_si512();
  for (uint32_t at = 0; at < capacity; at += 8) {
    __m512i old = _mm512_loadu_si512(pool + at);
    __m512i shifted = _mm512_alignr_epi64(old, before, 7);
    _mm512_storeu_si512(pool + at, _mm512_min_epu64(old, _mm512_max_epu64(shifted, one)));
    before = old;
  }
}

// Sixteen distances as the high halves of keys of slots below 2^31; that of others is 1 more.
WIDE CVX_INLINE __m512i high_halves(__m512 distances) {
  __m512i bits = _mm512_castps_si512(distances);
  __m512i flip = _mm512_or_si512(_mm512_srai_epi32(bits, 31), _mm512_set1_epi32((int)0x80000000));
  return _mm512_andnot_si512(_mm512_set1_epi32(1), _mm512_xor_si512(bits, flip));
}

// What measured rows leave of a list: the least key that came, and how many did.
typedef struct {
  uint64_t least;
  uint32_t taken;
} came;

// Takes the rows of `good` among sixteen into a list of `parts` registers, or, where that is 0, in
// memory.
WIDE CVX_INLINE void take_good(const cvx_view *view, uint64_t *pool, uint32_t ef, uint32_t parts,
                               const uint32_t *slots, const uint32_t *halves, uint32_t good,
                               uint32_t layer, cvx_aside *aside, came *all) {
  __m512i list[PARTS_MAX], last = _mm512_set1_epi64((ef - 1) & 7);
  uint64_t worst = pool[ef - 1];
  for (uint32_t part = 0; part < parts; part++) list[part] = _mm512_loadu_si512(pool + 8 * part);
  for (; good; good &= good - 1) {
    uint32_t lane = (uint32_t)__builtin_ctz(good), slot = slots[lane];
    uint64_t key = (uint64_t)halves[lane] << 32 | (uint64_t)slot << 1;
    if (key >= worst || is_put_aside(view, slot, key, aside)) continue;
    if (parts == 0) {
      insert_wide(pool, ef, key);
      worst = pool[ef - 1];
    } else {
      __m512i one = _mm512_set1_epi64((long long)key), before = _mm512_setzero_si512();
      for (uint32_t part = 0; part < parts; part++) {
        __m512i old = list[part], shifted = _mm512_alignr_epi64(old, before, 7);
        list[part] = _mm512_min_epu64(old, _mm512_max_epu64(shifted, one));
        before = old;
      }
      worst = (uint64_t)_mm_cvtsi128_si64(
          _mm512_castsi512_si128(_mm512_permutexvar_epi64(last, list[parts - 1])));
    }
    prefetch_edges(view, slot, layer);
    all->least = key < all->least ? key : all->least;
    all->taken++;
  }
  for (uint32_t part = 0; part < parts; part++) _mm512_storeu_si512(pool + 8 * part, list[part]);
}

WIDE CVX_INLINE uint32_t offer_parts(const cvx_view *view, uint64_t *pool, uint32_t *held,
                                     uint32_t ef, uint32_t parts, const uint32_t *slots,
                                     const float *distances, uint32_t count, uint32_t layer,
                                     cvx_aside *aside) {
  came all = {UINT64_MAX, 0};
  // What is behind the last must be behind every key.
  if (*held < ef)
    for (uint32_t at = *held; at < ((ef + 7) & ~7u); at++) pool[at] = UINT64_MAX;
  for (uint32_t from = 0; from < count; from += 16) {
    uint32_t rest = count - from, halves[16] __attribute__((aligned(64)));
    __mmask16 here = rest >= 16 ? 0xFFFF : (__mmask16)((1u << rest) - 1);
    __m512i each = high_halves(_mm512_maskz_loadu_ps(here, distances + from));
    __m512i worst = _mm512_set1_epi32((int)(uint32_t)(pool[ef - 1] >> 32));
    uint32_t good = _mm512_mask_cmple_epu32_mask(here, each, worst);
    if (good == 0) continue;
    _mm512_store_si512(halves, each);
    take_good(view, pool, ef, parts, slots + from, halves, good, layer, aside, &all);
  }
  if (all.taken == 0) return UINT32_MAX;
  *held = *held + all.taken < ef ? *held + all.taken : ef;
  return place(pool, *held, all.least);
}

WIDE static uint32_t offer_wide(const cvx_view *view, uint64_t *pool, uint32_t *held, uint32_t ef,
                                const uint32_t *slots, const float *distances, uint32_t count,
                                uint32_t layer, cvx_aside *aside) {
#define IN_PARTS(PARTS) \
  case PARTS: \
    return offer_parts(view, pool, held, ef, PARTS, slots, distances, count, layer, aside);
  if (ef > MOVED_MAX)
    return offer_baseline(view, pool, held, ef, slots, distances, count, layer, aside);
  switch ((ef + 7) / 8) {
    IN_PARTS(1) IN_PARTS(2) IN_PARTS(3) IN_PARTS(4) IN_PARTS(5) IN_PARTS(6) IN_PARTS(7) IN_PARTS(8)
    default: return offer_parts(view, pool, held, ef, 0, slots, distances, count, layer, aside);
  }
#undef IN_PARTS
}
#endif

cvx_offer_kernel cvx_offer = offer_baseline;

static cvx_offer_kernel kernel_at(int level) {
#if defined(__x86_64__)
  if (level >= CVECTOR_AVX512_VNNI) return offer_wide;
#endif
  (void)level;
  return offer_baseline;
}

void cvx_choose_pool(int level) { cvx_offer = kernel_at(level); }

uint32_t cvx_offer_rows(int level, uint64_t *list, uint32_t *held, uint32_t ef,
                        const uint32_t *slots, const float *distances, uint32_t count,
                        uint64_t *live, cvx_aside *aside) {
  // Places of edges are asked for, not read.
  cvx_view view = {.live = live};
  return kernel_at(level)(&view, list, held, ef, slots, distances, count, 1, aside);
}
