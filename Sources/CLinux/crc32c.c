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

#if defined(__x86_64__)
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t seed, const void *data,
                                                               size_t length) {
  const uint8_t *at = data;
  uint64_t crc = (uint32_t)~seed;
  while (length >= 8) {
    uint64_t word;
    memcpy(&word, at, 8);
    crc = _mm_crc32_u64(crc, word);
    at += 8;
    length -= 8;
  }
  while (length--) crc = _mm_crc32_u8((uint32_t)crc, *at++);
  return ~(uint32_t)crc;
}

uint32_t kfm_crc32c(uint32_t seed, const void *data, size_t length) {
  if (__builtin_cpu_supports("sse4.2")) return crc32c_sse42(seed, data, length);
  return kfm_crc32c_portable(seed, data, length);
}
#else
uint32_t kfm_crc32c(uint32_t seed, const void *data, size_t length) {
  return kfm_crc32c_portable(seed, data, length);
}
#endif
