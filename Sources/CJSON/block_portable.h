// Blocks of 64 bytes as bytes, for any processor.

typedef struct block {
  uint8_t bytes[64];
} block;

INLINE block block_load(const uint8_t *at) {
  block data;
  memcpy(data.bytes, at, sizeof data.bytes);
  return data;
}

// The first `count` bytes, 1 to 63, and spaces. Bytes behind them are never touched.
INLINE block block_load_part(const uint8_t *at, size_t count) {
  block data;
  memset(data.bytes, ' ', sizeof data.bytes);
  memcpy(data.bytes, at, count);
  return data;
}

INLINE uint64_t block_equal(block data, char byte) {
  uint64_t bits = 0;
  for (int i = 0; i < 64; i++) bits |= (uint64_t)(data.bytes[i] == (uint8_t)byte) << i;
  return bits;
}

// Whether any of 256 bytes is this one.
INLINE bool group_has(const uint8_t *at, char byte) { return memchr(at, byte, 256) != NULL; }

INLINE uint64_t block_below(block data, uint8_t bound) {
  uint64_t bits = 0;
  for (int i = 0; i < 64; i++) bits |= (uint64_t)(data.bytes[i] < bound) << i;
  return bits;
}

INLINE block block_or(block data, uint8_t bits) {
  for (int i = 0; i < 64; i++) data.bytes[i] |= bits;
  return data;
}

INLINE uint64_t block_high_bits(block data) {
  uint64_t bits = 0;
  for (int i = 0; i < 64; i++) bits |= (uint64_t)(data.bytes[i] >> 7) << i;
  return bits;
}

#include "bits_portable.h"
