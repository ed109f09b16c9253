// What the kernels of all instruction sets share.
#ifndef CJSON_KERNELS_H
#define CJSON_KERNELS_H

#include <stdbool.h>
#include <string.h>

#include "cjson.h"

// Ranges are 32 bits wide.
#define CJSON_LENGTH_MAX ((size_t)UINT32_MAX)

#define INLINE static inline __attribute__((always_inline, unused))

// Keeps a mask in a general register: the compiler would gather the masks of neighbouring blocks in
// vectors, at the cost of moving them there and back.
INLINE uint64_t in_register(uint64_t mask) {
  __asm__("" : "+r"(mask));
  return mask;
}

// One instruction set's kernels.
struct kernel_set {
  int (*find)(const cjson_names *, const uint8_t *, size_t, cjson_found *);
  int (*validate)(const uint8_t *, size_t);
  size_t (*plain_prefix)(const uint8_t *, size_t);
  size_t (*value_end)(const uint8_t *, size_t, size_t);
  int (*is_utf8)(const uint8_t *, size_t);
};

extern const struct kernel_set cjson_kernels_portable;
#if defined(__x86_64__)
extern const struct kernel_set cjson_kernels_sse2, cjson_kernels_avx2, cjson_kernels_avx512;
#endif

// Bytes that can be part of a number or literal: no brackets, comma, colon, quote or space.
extern const uint8_t cjson_is_scalar[256];

// Whether a number or literal stands at `at`, whole: what follows it is no part of one.
bool cjson_scalar_is_valid(const uint8_t *bytes, size_t at, size_t length);

// Whether the character at `at`, which a backslash stands before, makes an escape. `low_at` is
// where the second half of a surrogate pair is expected; both halves come here, in order.
bool cjson_escape_is_valid(const uint8_t *bytes, size_t at, size_t length, size_t *low_at);

// The positions after a container and after a number or literal; 0 where there is none.
size_t cjson_container_end_by_bytes(const uint8_t *bytes, size_t start, size_t end);
size_t cjson_scalar_end_by_bytes(const uint8_t *bytes, size_t start, size_t end);

// The position after the UTF-8 sequence at `at`; 0 when it is not well-formed.
size_t cjson_utf8_next(const uint8_t *bytes, size_t at, size_t length);

// The place of a name that is padded with zeros.
INLINE unsigned place_of(const cjson_names *names, uint64_t low, uint64_t high) {
  return (unsigned)(((low ^ (high << 7 | high >> 57)) * names->multiplier) >> 58);
}

// A member of an object: where its name stands, without quotes, and its value. Each is a start and
// 32 bits higher an end, written and read at once: parts would wait for each other.
struct member {
  uint64_t name, value;
};

INLINE uint64_t packed(size_t start, size_t end) { return (uint64_t)start | (uint64_t)end << 32; }

// The first members of the names that are looked for, as they come.
struct keeper {
  const cjson_names *names;
  // Of the names that have come.
  uint32_t seen, named, others;
};

// Keeps the value of a member whose name is looked for; of the same name the first. No branch
// depends on which name it is. The names lie inside the text of `length` bytes.
INLINE void keep_member(struct keeper *k, const uint8_t *bytes, size_t length, size_t start,
                        size_t end, uint64_t value, cjson_found *found) {
  static const uint64_t masks[CJSON_NAME_BYTES_MAX + 1][2] = {
#define LOW(bits) {(UINT64_C(1) << bits) - 1, 0}
#define HIGH(bits) {~UINT64_C(0), (UINT64_C(1) << bits) - 1}
      LOW(0),  LOW(8),  LOW(16),  LOW(24),  LOW(32),  LOW(40),  LOW(48),  LOW(56),
      HIGH(0), HIGH(8), HIGH(16), HIGH(24), HIGH(32), HIGH(40), HIGH(48), HIGH(56),
      {~UINT64_C(0), ~UINT64_C(0)}};
#undef LOW
#undef HIGH
  const cjson_names *names = k->names;
  size_t size = end - start;
  k->others++;
  if (size > CJSON_NAME_BYTES_MAX) return;
  const uint8_t *name = bytes + start;
  uint8_t copy[16];
  if (length - start < sizeof copy) name = memcpy(copy, name, length - start);
  uint64_t low, high;
  memcpy(&low, name, 8);
  memcpy(&high, name + 8, 8);
  low = in_register(low & masks[size][0]);
  high = in_register(high & masks[size][1]);
  unsigned index = names->place[place_of(names, low, high)];
  uint64_t difference = (low ^ names->words[index][0]) | (high ^ names->words[index][1]);
  uint32_t is_named = difference == 0, bit = is_named << (index & 31);
  unsigned slot = is_named && (k->seen & bit) == 0 ? index : CJSON_NAMES_MAX;
  k->seen |= bit;
  k->named += is_named;
  memcpy(&found->at[slot], &value, sizeof(cjson_range));
}

#endif
