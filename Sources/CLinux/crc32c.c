#include "clinux.h"

#include <string.h>

// Castagnoli polynomial, reflected (RFC 3720 appendix B.4).
#define POLYNOMIAL 0x82F63B78u

// Eight tables let the portable version take eight bytes a step; built once, before main.
static uint32_t tables[8][256];

__attribute__((constructor)) static void build_tables(void) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) ? POLYNOMIAL : 0);
    tables[0][byte] = crc;
  }
  for (uint32_t byte = 0; byte < 256; byte++)
    for (int step = 1; step < 8; step++)
      tables[step][byte] = (tables[step - 1][byte] >> 8) ^ tables[0][tables[step - 1][byte] & 0xFF];
}

uint32_t kfm_crc32c_portable(uint32_t seed, const void *data, size_t length) {
  const uint8_t *at = data;
  uint32_t crc = ~seed;
  while (length >= 8) {
    uint64_t word;
    memcpy(&word, at, 8);
    word ^= crc;
    crc = tables[7][word & 0xFF] ^ tables[6][(word >> 8) & 0xFF] ^ tables[5][(word >> 16) & 0xFF] ^
          tables[4][(word >> 24) & 0xFF] ^ tables[3][(word >> 32) & 0xFF] ^
          tables[2][(word >> 40) & 0xFF] ^ tables[1][(word >> 48) & 0xFF] ^ tables[0][word >> 56];
    at += 8;
    length -= 8;
  }
  while (length--) crc = (crc >> 8) ^ tables[0][(crc ^ *at++) & 0xFF];
  return ~crc;
}

// a · b mod P; polynomials are reflected: the highest bit is the coefficient of x⁰.
static uint32_t multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (uint32_t bit = 1u << 31; bit != 0; bit >>= 1) {
    if (a & bit) product ^= b;
    b = (b >> 1) ^ ((b & 1) ? POLYNOMIAL : 0);
  }
  return product;
}

// x^n mod P, by squaring.
static uint32_t power(uint64_t n) {
  uint32_t result = 1u << 31, square = 1u << 30;
  for (; n != 0; n >>= 1) {
    if (n & 1) result = multiply(result, square);
    square = multiply(square, square);
  }
  return result;
}

uint32_t kfm_crc32c_combine(uint32_t first, uint32_t second, size_t length) {
  return multiply(first, power(8 * (uint64_t)length)) ^ second;
}

#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>

// The instruction has a latency of three cycles and takes a new one every cycle: three runs at a
// time use it fully. Lengths of a run, longest first.
static const size_t runs[] = {1024, 256, 64};
#define RUNS (sizeof runs / sizeof *runs)

// For each run: what moves a checksum on over one run and over two (see `moved`).
static uint32_t one_run[RUNS], two_runs[RUNS];

__attribute__((constructor)) static void build_runs(void) {
  for (size_t i = 0; i < RUNS; i++) {
    one_run[i] = power(8 * runs[i] - 33);
    two_runs[i] = power(16 * runs[i] - 33);
  }
}

// The register after so many zero bytes as `factor` = x^(8 bytes - 33) stands for: the carry-less
// product is one power of x too high, and reducing it adds 32.
__attribute__((target("sse4.2,pclmul"))) static inline uint64_t moved(uint64_t crc,
                                                                      uint32_t factor) {
  __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)(uint32_t)crc),
                                         _mm_cvtsi64_si128((long long)factor), 0);
  return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

static inline uint64_t word(const uint8_t *at) {
  uint64_t value;
  memcpy(&value, at, 8);
  return value;
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t crc32c_fast(uint32_t seed,
                                                                     const void *data,
                                                                     size_t length) {
  const uint8_t *at = data;
  uint64_t crc = (uint32_t)~seed;
  for (size_t i = 0; i < RUNS; i++) {
    const size_t run = runs[i];
    while (length >= 3 * run) {
      uint64_t second = 0, third = 0;
      for (const uint8_t *end = at + run; at < end; at += 8) {
        crc = _mm_crc32_u64(crc, word(at));
        second = _mm_crc32_u64(second, word(at + run));
        third = _mm_crc32_u64(third, word(at + 2 * run));
      }
      crc = moved(crc, two_runs[i]) ^ moved(second, one_run[i]) ^ third;
      at += 2 * run;
      length -= 3 * run;
    }
  }
  for (; length >= 8; at += 8, length -= 8) crc = _mm_crc32_u64(crc, word(at));
  while (length--) crc = _mm_crc32_u8((uint32_t)crc, *at++);
  return ~(uint32_t)crc;
}

uint32_t kfm_crc32c(uint32_t seed, const void *data, size_t length) {
  if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"))
    return crc32c_fast(seed, data, length);
  return kfm_crc32c_portable(seed, data, length);
}
#else
uint32_t kfm_crc32c(uint32_t seed, const void *data, size_t length) {
  return kfm_crc32c_portable(seed, data, length);
}
#endif
