// Masks of rows: a byte a row made a bit, bits counted, and the rows they name.
#include "graph.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define WIDE __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512cd,bmi,popcnt")))
#endif

// One bit for each of sixteen bytes that is not 0.
CVX_INLINE uint64_t bits_of_16(const uint8_t *bytes) {
#if defined(__x86_64__)
  __m128i zero = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)bytes), _mm_setzero_si128());
  return (uint32_t)_mm_movemask_epi8(zero) ^ 0xFFFFu;
#else
  uint64_t bits = 0;
  for (uint32_t at = 0; at < 16; at++) bits |= (uint64_t)(bytes[at] != 0) << at;
  return bits;
#endif
}

#if defined(__x86_64__)
WIDE static void pack_wide(const uint8_t *bytes, size_t words, uint64_t *out) {
  for (size_t word = 0; word < words; word++) {
    __m512i part = _mm512_loadu_si512(bytes + 64 * word);
    out[word] = _mm512_test_epi8_mask(part, part);
  }
}
#endif

static void pack_words(const uint8_t *bytes, size_t words, uint64_t *out) {
#if defined(__x86_64__)
  if (cvector_level() >= CVECTOR_AVX512_VNNI) return pack_wide(bytes, words, out);
#endif
  for (size_t word = 0; word < words; word++, bytes += 64) {
    out[word] = bits_of_16(bytes) | bits_of_16(bytes + 16) << 16 | bits_of_16(bytes + 32) << 32 |
                bits_of_16(bytes + 48) << 48;
  }
}

void cvx_pack_bytes(const uint8_t *bytes, size_t count, uint64_t *words) {
  size_t whole = count / 64;
  pack_words(bytes, whole, words);
  if (count % 64 == 0) return;
  uint8_t rest[64] = {0};
  memcpy(rest, bytes + 64 * whole, count % 64);
  pack_words(rest, 1, words + whole);
}

// Which of 64 slots are live and allowed.
CVX_INLINE uint64_t allowed_word(const cvx_view *view, const uint64_t *allow, uint32_t word,
                                 uint32_t count) {
  uint64_t bits = __atomic_load_n(&view->live[word], __ATOMIC_ACQUIRE);
  if (allow) bits &= allow[word];
  uint32_t first = word * 64;
  return count - first < 64 ? bits & ((1ull << (count - first)) - 1) : bits;
}

CVX_INLINE uint64_t sum_allowed(const cvx_view *view, const uint64_t *allow, uint32_t count) {
  uint64_t allowed = 0;
  for (uint32_t word = 0; word * 64ull < count; word++)
    allowed += (uint64_t)__builtin_popcountll(allowed_word(view, allow, word, count));
  return allowed;
}

#if defined(__x86_64__)
__attribute__((target("popcnt"))) static uint64_t sum_popcnt(const cvx_view *view,
                                                             const uint64_t *allow,
                                                             uint32_t count) {
  return sum_allowed(view, allow, count);
}
#endif

// Appends the slots of a word's bits.
CVX_INLINE uint32_t append(uint64_t bits, uint32_t first, uint32_t *slots, uint32_t listed) {
  for (; bits; bits &= bits - 1) slots[listed++] = first + (uint32_t)__builtin_ctzll(bits);
  return listed;
}

#if defined(__x86_64__)
// Counts by halves of bytes, eight words at once.
WIDE static uint64_t sum_wide(const cvx_view *view, const uint64_t *allow, uint32_t count) {
  const __m512i low = _mm512_set1_epi8(15), zero = _mm512_setzero_si512();
  const __m512i table = _mm512_broadcast_i32x4(
      _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
  __m512i sum = zero;
  uint32_t word = 0, whole = count / 64;
  for (; word + 8 <= whole; word += 8) {
    __m512i bits = _mm512_loadu_si512(view->live + word);
    if (allow) bits = _mm512_and_si512(bits, _mm512_loadu_si512(allow + word));
    __m512i high = _mm512_and_si512(_mm512_srli_epi16(bits, 4), low);
    __m512i each = _mm512_add_epi8(_mm512_shuffle_epi8(table, _mm512_and_si512(bits, low)),
                                   _mm512_shuffle_epi8(table, high));
    sum = _mm512_add_epi64(sum, _mm512_sad_epu8(each, zero));
  }
  uint64_t allowed = (uint64_t)_mm512_reduce_add_epi64(sum);
  for (; word * 64ull < count; word++)
    allowed += (uint64_t)__builtin_popcountll(allowed_word(view, allow, word, count));
  return allowed;
}

// Lists the lowest bit of each of eight words that has one, and takes it from the word. Room for
// eight slots more.
WIDE CVX_INLINE uint32_t list_lowest(__m512i *bits, __m256i firsts, uint32_t *slots) {
  __mmask8 some = _mm512_test_epi64_mask(*bits, *bits);
  __m512i rest = _mm512_and_si512(*bits, _mm512_sub_epi64(*bits, _mm512_set1_epi64(1)));
  __m512i places = _mm512_lzcnt_epi64(_mm512_xor_si512(*bits, rest));
  __m256i all = _mm256_sub_epi32(firsts, _mm512_cvtepi64_epi32(places));
  _mm256_storeu_si256((__m256i *)(void *)slots, _mm256_maskz_compress_epi32(some, all));
  *bits = rest;
  return (uint32_t)__builtin_popcount(some);
}

// Eight words at once: most have no bit where few rows are allowed, and most others one or two,
// which are listed without asking.
WIDE static uint32_t list_wide(const cvx_view *view, const uint64_t *allow, uint32_t whole,
                               uint32_t *word, uint32_t *slots) {
  uint32_t listed = 0, at = *word;
  const __m256i ends = _mm256_setr_epi32(63, 127, 191, 255, 319, 383, 447, 511);
  for (; at + 8 <= whole && listed <= CVX_LISTED_MAX - 8 * 64; at += 8) {
    __m512i bits = _mm512_loadu_si512(view->live + at);
    if (allow) bits = _mm512_and_si512(bits, _mm512_loadu_si512(allow + at));
    __m256i last = _mm256_add_epi32(_mm256_set1_epi32((int)(at * 64)), ends);
    listed += list_lowest(&bits, last, slots + listed);
    while (_mm512_test_epi64_mask(bits, bits))
      listed += list_lowest(&bits, last, slots + listed);
  }
  *word = at;
  return listed;
}
#endif

uint64_t cvx_count_allowed(const cvx_view *view, const uint64_t *allow, uint32_t count) {
#if defined(__x86_64__)
  if (cvector_level() >= CVECTOR_AVX512_VNNI) return sum_wide(view, allow, count);
  if (cvector_level() >= CVECTOR_AVX2_FMA) return sum_popcnt(view, allow, count);
#endif
  return sum_allowed(view, allow, count);
}

CVX_INLINE uint32_t list_at(int level, const cvx_view *view, const uint64_t *allow,
                            uint32_t count, uint32_t *word, uint32_t *slots) {
  uint32_t listed = 0;
#if defined(__x86_64__)
  if (level >= CVECTOR_AVX512_VNNI) listed = list_wide(view, allow, count / 64, word, slots);
#endif
  (void)level;
  for (; *word * 64ull < count && listed <= CVX_LISTED_MAX - 8 * 64; ++*word)
    listed = append(allowed_word(view, allow, *word, count), *word * 64, slots, listed);
  return listed;
}

uint32_t cvx_list_allowed(const cvx_view *view, const uint64_t *allow, uint32_t count,
                          uint32_t *word, uint32_t *slots) {
  return list_at(cvector_level(), view, allow, count, word, slots);
}

uint32_t cvx_list_bits(int level, uint64_t *bits, uint32_t count, uint32_t *word,
                       uint32_t *slots) {
  cvx_view view = {.live = bits};
  return list_at(level, &view, 0, count, word, slots);
}
