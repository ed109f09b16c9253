#include "cvector.h"

#include <math.h>

// The same bits on every processor: no fused multiply-add may creep in.
#pragma STDC FP_CONTRACT OFF

// Sixteen lanes; the compiler splits them into whatever registers the target has.
typedef float lanes __attribute__((vector_size(64), aligned(4)));

#define LANES 16
#define INLINE static inline __attribute__((always_inline))
#define SWAP(v, ...) __builtin_shufflevector(v, v, __VA_ARGS__)

INLINE uint32_t mixed(uint32_t value) {
  value = (value ^ (value >> 16)) * 0x7FEB352Du;
  value = (value ^ (value >> 15)) * 0x846CA68Bu;
  return value ^ (value >> 16);
}

// Flips the signs that round and position draw.
INLINE void flip(float *x, size_t count, uint32_t round) {
  uint32_t *bits = (uint32_t *)(void *)x;
  for (size_t at = 0; at < count; at++)
    bits[at] ^= mixed((uint32_t)at * 0x9E3779B9u + round) & 0x80000000u;
}

// The four lowest levels of the transform, within sixteen lanes.
INLINE void within(lanes *place, float scale) {
  lanes v = *place;
  const lanes s1 = {1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1};
  const lanes s2 = {1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1};
  const lanes s4 = {1, 1, 1, 1, -1, -1, -1, -1, 1, 1, 1, 1, -1, -1, -1, -1};
  const lanes s8 = {1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1, -1};
  v = SWAP(v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14) + v * s1;
  v = SWAP(v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13) + v * s2;
  v = SWAP(v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11) + v * s4;
  v = SWAP(v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7) + v * s8;
  *place = v * scale;
}

// Walsh-Hadamard transform of a power of two, at least 16, of lengths kept.
INLINE void transform(float *x, size_t count) {
  float scale = 1.0f / sqrtf((float)count);
  for (size_t at = 0; at < count; at += LANES) within((lanes *)(void *)(x + at), scale);
  for (size_t half = LANES; half < count; half *= 2)
    for (size_t block = 0; block < count; block += 2 * half)
      for (size_t at = block; at < block + half; at += LANES) {
        lanes *low = (lanes *)(void *)(x + at), *high = (lanes *)(void *)(x + at + half);
        lanes a = *low, b = *high;
        *low = a + b;
        *high = a - b;
      }
}

// Turns each pair (i, i + half) by 45 degrees; its own inverse.
INLINE void butterfly(float *x, size_t count) {
  size_t half = count / 2;
  for (size_t at = 0; at < half; at++) {
    float a = x[at], b = x[at + half];
    x[at] = (a + b) * 0.70710678f;
    x[at + half] = (a - b) * 0.70710678f;
  }
}

#define ROUNDS 2

INLINE size_t power_below(size_t dimension) {
  size_t power = LANES;
  while (power * 2 <= dimension) power *= 2;
  return power;
}

INLINE void rotate(float *x, size_t dimension) {
  size_t power = power_below(dimension);
  for (uint32_t round = 0; round < ROUNDS; round++) {
    flip(x, dimension, 2 * round);
    transform(x, power);
    if (power == dimension) continue;
    flip(x, dimension, 2 * round + 1);
    transform(x + dimension - power, power);
    butterfly(x, dimension);
  }
}

INLINE void rotate_back(float *x, size_t dimension) {
  size_t power = power_below(dimension);
  for (uint32_t round = ROUNDS; round-- > 0;) {
    if (power != dimension) {
      butterfly(x, dimension);
      transform(x + dimension - power, power);
      flip(x, dimension, 2 * round + 1);
    }
    transform(x, power);
    flip(x, dimension, 2 * round);
  }
}

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512dq"))) static void rotate_avx512(float *x, size_t count) {
  rotate(x, count);
}
__attribute__((target("avx2"))) static void rotate_avx2(float *x, size_t count) {
  rotate(x, count);
}
#endif

void cvx_rotate(float *vector, size_t dimension) {
  if (dimension < LANES) return;
#if defined(__x86_64__)
  if (cvector_level() >= CVECTOR_AVX512_VNNI) return rotate_avx512(vector, dimension);
  if (cvector_level() >= CVECTOR_AVX2_FMA) return rotate_avx2(vector, dimension);
#endif
  rotate(vector, dimension);
}

void cvx_rotate_back(float *vector, size_t dimension) {
  if (dimension >= LANES) rotate_back(vector, dimension);
}
