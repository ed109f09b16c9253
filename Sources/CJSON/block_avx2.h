// Blocks of 64 bytes in two registers of AVX2.
#include <immintrin.h>

typedef struct block {
  __m256i low, high;
} block;

INLINE block block_load(const uint8_t *at) {
  return (block){_mm256_loadu_si256((const __m256i *)at),
                 _mm256_loadu_si256((const __m256i *)(at + 32))};
}

// The first `count` bytes, 1 to 63, and spaces. Bytes behind them are never touched.
INLINE block block_load_part(const uint8_t *at, size_t count) {
  uint8_t bytes[64];
  memset(bytes, ' ', sizeof bytes);
  memcpy(bytes, at, count);
  return block_load(bytes);
}

INLINE uint64_t block_bits(__m256i low, __m256i high) {
  return in_register((uint64_t)(uint32_t)_mm256_movemask_epi8(low) |
                     (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32);
}

INLINE uint64_t block_matches(block a, block b) {
  return block_bits(_mm256_cmpeq_epi8(a.low, b.low), _mm256_cmpeq_epi8(a.high, b.high));
}

INLINE block block_of(uint8_t byte) {
  __m256i all = _mm256_set1_epi8((char)byte);
  return (block){all, all};
}

INLINE uint64_t block_equal(block data, char byte) {
  return block_matches(data, block_of((uint8_t)byte));
}

// Whether any of 256 bytes is this one.
INLINE bool group_has(const uint8_t *at, char byte) {
  __m256i all = _mm256_set1_epi8(byte), found = _mm256_setzero_si256();
  for (int i = 0; i < 8; i++)
    found = _mm256_or_si256(
        found, _mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *)(at + 32 * i)), all));
  return !_mm256_testz_si256(found, found);
}

INLINE uint64_t block_below(block data, uint8_t bound) {
  __m256i last = _mm256_set1_epi8((char)(bound - 1));
  return block_bits(_mm256_cmpeq_epi8(_mm256_min_epu8(data.low, last), data.low),
                    _mm256_cmpeq_epi8(_mm256_min_epu8(data.high, last), data.high));
}

INLINE block block_and(block a, block b) {
  return (block){_mm256_and_si256(a.low, b.low), _mm256_and_si256(a.high, b.high)};
}

INLINE block block_either(block a, block b) {
  return (block){_mm256_or_si256(a.low, b.low), _mm256_or_si256(a.high, b.high)};
}

INLINE block block_or(block data, uint8_t bits) { return block_either(data, block_of(bits)); }

INLINE uint64_t block_high_bits(block data) { return block_bits(data.low, data.high); }

INLINE uint64_t prefix_xor(uint64_t bits) {
  __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)bits), _mm_set1_epi8(-1), 0);
  return in_register((uint64_t)_mm_cvtsi128_si64(product));
}

INLINE block block_table(const uint8_t table[16], block index) {
  __m256i rows = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
  return (block){_mm256_shuffle_epi8(rows, index.low), _mm256_shuffle_epi8(rows, index.high)};
}

// Writes the bytes whose bits are set one after the other; up to 64 bytes are written. Eight at a
// time, needed or not: that is cheaper than a branch that is guessed wrong.
INLINE void block_compress(block data, const uint8_t *at, uint64_t bits, uint8_t *out) {
  (void)data;
  int count = __builtin_popcountll(bits);
  for (int done = 0; done < count; done += 8)
    for (int step = 0; step < 8; step++) {
      out[done + step] = at[_tzcnt_u64(bits) & 63];
      bits &= bits - 1;
    }
}

// Writes the places of the bits that are set, plus `offset`; up to 64 bytes are written.
INLINE void block_positions(uint64_t bits, unsigned offset, uint8_t *out) {
  int count = __builtin_popcountll(bits);
  for (int done = 0; done < count; done += 8)
    for (int step = 0; step < 8; step++) {
      out[done + step] = (uint8_t)(offset + _tzcnt_u64(bits));
      bits &= bits - 1;
    }
}

#define HAS_TABLES 1

// The block moved up by `count` bytes, behind the last ones of `before`.
INLINE block block_behind(block before, block data, int count) {
  __m256i low = _mm256_permute2x128_si256(before.high, data.low, 0x21);
  __m256i high = _mm256_permute2x128_si256(data.low, data.high, 0x21);
  switch (count) {
    case 1:
      return (block){_mm256_alignr_epi8(data.low, low, 15), _mm256_alignr_epi8(data.high, high, 15)};
    case 2:
      return (block){_mm256_alignr_epi8(data.low, low, 14), _mm256_alignr_epi8(data.high, high, 14)};
    default:
      return (block){_mm256_alignr_epi8(data.low, low, 13), _mm256_alignr_epi8(data.high, high, 13)};
  }
}

INLINE block block_low_nibbles(block data) { return block_and(data, block_of(0x0F)); }

INLINE block block_high_nibbles(block data) {
  block moved = {_mm256_srli_epi16(data.low, 4), _mm256_srli_epi16(data.high, 4)};
  return block_low_nibbles(moved);
}

// Which bytes are at least `bound`, in the highest bit of each byte of the answer; `bound` is
// above 0x80.
INLINE block block_at_least(block data, uint8_t bound) {
  __m256i base = _mm256_set1_epi8((char)(bound - 0x80));
  return (block){_mm256_subs_epu8(data.low, base), _mm256_subs_epu8(data.high, base)};
}

INLINE uint64_t block_differs_in_high_bit(block a, block b) {
  block high = block_and(b, block_of(0x80));
  return ~block_matches(a, high);
}
