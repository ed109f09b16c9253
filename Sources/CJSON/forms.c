// Identifiers inside strings, of a fixed form.
#include <string.h>

#include "cjson.h"

// Five bits of each character of Crockford's base 32, either case; 0x80 for the others.
static const uint8_t base32[256] = {
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    0x80, 10, 11, 12, 13, 14, 15, 16, 17, 0x80, 18, 19, 0x80, 20, 21, 0x80,
    22, 23, 24, 25, 26, 0x80, 27, 28, 29, 30, 31, 0x80, 0x80, 0x80, 0x80, 0x80,
    0x80, 10, 11, 12, 13, 14, 15, 16, 17, 0x80, 18, 19, 0x80, 20, 21, 0x80,
    22, 23, 24, 25, 26, 0x80, 27, 28, 29, 30, 31, 0x80, 0x80, 0x80, 0x80, 0x80,
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
};

int cjson_ulid(const void *text, uint64_t *high, uint64_t *low) {
  const uint8_t *at = text;
  // Two characters of 3 and 5 bits, then twice twelve of 5: 8 + 60 + 60 bits.
  uint64_t first = (uint64_t)base32[at[0]] << 5 | base32[at[1]], middle = 0, last = 0;
  uint8_t wrong = base32[at[0]] | base32[at[1]] | (base32[at[0]] > 7 ? 0x80 : 0);
  for (int index = 0; index < 12; index++) {
    uint8_t a = base32[at[2 + index]], b = base32[at[14 + index]];
    middle = middle << 5 | a;
    last = last << 5 | b;
    wrong |= a | b;
  }
  *high = first << 56 | middle >> 4;
  *low = middle << 60 | last;
  return (wrong & 0x80) == 0;
}

// Forms are compared in vectors, which the compiler makes of loops of a fixed length.
enum { FORM_BYTES_MAX = 64 };

static inline uint8_t is_digit(uint8_t byte) { return (uint8_t)(byte - '0') <= 9; }

// A character of Crockford's base 32, after folding to upper case.
static inline uint8_t is_base32(uint8_t byte, uint8_t folded) {
  uint8_t is_letter = (uint8_t)(folded - 'A') <= 25;
  uint8_t is_left_out = (folded == 'I') | (folded == 'L') | (folded == 'O') | (folded == 'U');
  return is_digit(byte) | (is_letter & (uint8_t)!is_left_out);
}

int cjson_has_form(const void *text, size_t length, const char *form, size_t form_length) {
  if (length != form_length || length > FORM_BYTES_MAX) return 0;
  uint8_t bytes[FORM_BYTES_MAX] = {0}, wants[FORM_BYTES_MAX] = {0}, wrong = 0;
  memcpy(bytes, text, length);
  memcpy(wants, form, length);
  for (int index = 0; index < FORM_BYTES_MAX; index++) {
    uint8_t byte = bytes[index], want = wants[index];
    uint8_t fits = (byte == want) & (want != '0') & (want != 'o') & (want != 'h') & (want != 'B');
    fits |= (want == '0') & is_digit(byte);
    fits |= (want == 'o') & ((uint8_t)(byte - '0') <= 7);
    fits |= (want == 'h') & (is_digit(byte) | ((uint8_t)(byte - 'a') <= 5));
    fits |= (want == 'B') & is_base32(byte, byte);
    wrong |= fits ^ 1;
  }
  return wrong == 0;
}

int cjson_is_ulid(const void *text) {
  uint8_t bytes[32], wrong = 0;
  memset(bytes, '0', sizeof bytes);
  memcpy(bytes, text, 26);
  for (int index = 0; index < 32; index++)
    wrong |= is_base32(bytes[index], bytes[index] & 0xDF) ^ 1;
  return (wrong == 0) & (bytes[0] <= '7');
}

int cjson_is_plain_ulid(const void *text) {
  const uint8_t *at = text;
  uint8_t lower = 0;
  for (int index = 0; index < 26; index++) lower |= at[index] > 'Z';
  return !lower && cjson_is_ulid(text);
}

int cjson_is_hex32(const void *text) {
  const uint8_t *at = text;
  uint8_t wrong = 0;
  for (int index = 0; index < 32; index++)
    wrong |= (is_digit(at[index]) | ((uint8_t)(at[index] - 'a') <= 5)) ^ 1;
  return wrong == 0;
}

int cjson_is_time27(const void *text) {
  static const char form[33] = "0000-00-00T00:00:00.000000Z00000";
  uint8_t bytes[32], wrong = 0;
  memset(bytes, '0', sizeof bytes);
  memcpy(bytes, text, 27);
  for (int index = 0; index < 32; index++) {
    uint8_t byte = bytes[index], want = (uint8_t)form[index];
    wrong |= ((byte == want) | ((want == '0') & is_digit(byte))) ^ 1;
  }
  return wrong == 0;
}

int cjson_is_word(const void *text, size_t length, const char *others) {
  const uint8_t *at = text;
  for (size_t index = 0; index < length; index++) {
    uint8_t byte = at[index], letter = (uint8_t)((byte | 0x20) - 'a');
    if (letter < 26 || (uint8_t)(byte - '0') <= 9) continue;
    if (byte == 0 || strchr(others, byte) == NULL) return 0;
  }
  return 1;
}
