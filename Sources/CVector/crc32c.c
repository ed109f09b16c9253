#include "cvector.h"

#include <string.h>

// Castagnoli polynomial, reflected (RFC 3720 appendix B.4).
#define POLYNOMIAL 0x82F63B78u

static uint32_t table[256];

// Before main, so that no reader can find it half filled.
__attribute__((constructor)) static void build_table(void) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) ? POLYNOMIAL : 0);
    table[byte] = crc;
  }
}

uint32_t cvector_crc32c_portable(uint32_t seed, const void *data, size_t length) {
  const uint8_t *at = data;
  uint32_t crc = ~seed;
  while (length--) crc = (crc >> 8) ^ table[(crc ^ *at++) & 0xFF];
  return ~crc;
}

#if defined(__x86_64__)
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t seed, const void *data,
                                                               size_t length) {
  const uint8_t *at = data;
  uint64_t crc = (uint32_t)~seed;
  for (; length >= 8; at += 8, length -= 8) {
    uint64_t word;
    memcpy(&word, at, 8);
    crc = _mm_crc32_u64(crc, word);
  }
  while (length--) crc = _mm_crc32_u8((uint32_t)crc, *at++);
  return ~(uint32_t)crc;
}
#elif defined(__aarch64__) && defined(__linux__)
#include <arm_acle.h>
#include <sys/auxv.h>

// The bit of AT_HWCAP that says so (arch/arm64/include/uapi/asm/hwcap.h).
#define HAS_CRC (1ul << 7)

__attribute__((target("crc"))) static uint32_t crc32c_arm(uint32_t seed, const void *data,
                                                          size_t length) {
  const uint8_t *at = data;
  uint32_t crc = ~seed;
  for (; length >= 8; at += 8, length -= 8) {
    uint64_t word;
    memcpy(&word, at, 8);
    crc = __crc32cd(crc, word);
  }
  while (length--) crc = __crc32cb(crc, *at++);
  return ~crc;
}
#endif

uint32_t cvector_crc32c(uint32_t seed, const void *data, size_t length) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return crc32c_sse42(seed, data, length);
#elif defined(__aarch64__) && defined(__linux__)
  if (getauxval(AT_HWCAP) & HAS_CRC) return crc32c_arm(seed, data, length);
#endif
  return cvector_crc32c_portable(seed, data, length);
}
