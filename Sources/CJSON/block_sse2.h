// Blocks of 64 bytes in four registers of SSE2, which every x86-64 has.
#include <emmintrin.h>

typedef struct block {
  __m128i part[4];
} block;

INLINE block block_load(const uint8_t *at) {
  block data;
  for (int i = 0; i < 4; i++) data.part[i] = _mm_loadu_si128((const __m128i *)(at + 16 * i));
  return data;
}

// The first `count` bytes, 1 to 63, and spaces. Bytes behind them are never touched.
INLINE block block_load_part(const uint8_t *at, size_t count) {
  uint8_t bytes[64];
  memset(bytes, ' ', sizeof bytes);
  memcpy(bytes, at, count);
  return block_load(bytes);
}

INLINE uint64_t block_equal(block data, char byte) {
  uint64_t bits = 0;
  for (int i = 0; i < 4; i++) {
    __m128i equal = _mm_cmpeq_epi8(data.part[i], _mm_set1_epi8(byte));
    bits |= (uint64_t)_mm_movemask_epi8(equal) << (16 * i);
  }
  return bits;
}

// Whether any of 256 bytes is this one.
INLINE bool group_has(const uint8_t *at, char byte) { return memchr(at, byte, 256) != NULL; }

INLINE uint64_t block_below(block data, uint8_t bound) {
  uint64_t bits = 0;
  __m128i last = _mm_set1_epi8((char)(bound - 1));
  for (int i = 0; i < 4; i++) {
    __m128i below = _mm_cmpeq_epi8(_mm_min_epu8(data.part[i], last), data.part[i]);
    bits |= (uint64_t)_mm_movemask_epi8(below) << (16 * i);
  }
  return bits;
}

INLINE block block_or(block data, uint8_t bits) {
  for (int i = 0; i < 4; i++)
    data.part[i] = _mm_or_si128(data.part[i], _mm_set1_epi8((char)bits));
  return data;
}

INLINE uint64_t block_high_bits(block data) {
  uint64_t bits = 0;
  for (int i = 0; i < 4; i++) bits |= (uint64_t)_mm_movemask_epi8(data.part[i]) << (16 * i);
  return bits;
}

#include "bits_portable.h"
