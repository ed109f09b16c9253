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
  // Sixteen from the first on, and the last sixteen.
  const uint8_t *at = text;
  uint8_t wrong = 0;
  for (int index = 0; index < 16; index++) {
    uint8_t a = at[index], b = at[index + 10];
    wrong |= (is_base32(a, a & 0xDF) & is_base32(b, b & 0xDF)) ^ 1;
  }
  return (wrong == 0) & (at[0] <= '7');
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
  // Sixteen from the first on, and the last sixteen.
  static const char form[28] = "0000-00-00T00:00:00.000000Z";
  const uint8_t *at = text;
  uint8_t wrong = 0;
  for (int index = 0; index < 16; index++) {
    uint8_t a = at[index], want_a = (uint8_t)form[index];
    uint8_t b = at[index + 11], want_b = (uint8_t)form[index + 11];
    uint8_t fits_a = (a == want_a) | ((want_a == '0') & is_digit(a));
    uint8_t fits_b = (b == want_b) | ((want_b == '0') & is_digit(b));
    wrong |= (fits_a & fits_b) ^ 1;
  }
  return wrong == 0;
}

int cjson_is_event(const void *bytes, const cjson_found *found) {
  const uint8_t *text = bytes;
  const cjson_range *at = found->at;
  // A value ends behind its start; one that is missing has its end at 0. Strings end at their quote.
  for (int index = 0; index < 6; index++)
    if (at[index].end == 0 || text[at[index].start] != (index < 5 ? '"' : '{')) return 0;
  return at[0].end - at[0].start == 28 && at[4].end - at[4].start == 34 &&
         cjson_is_ulid(text + at[0].start + 1);
}

static inline int is_alphanumeric(uint8_t byte) {
  return is_digit(byte) || (uint8_t)((byte | 0x20) - 'a') < 26;
}

// Digits without a leading zero; how many there are, 0 when none or too many zeros.
static size_t number_length(const uint8_t *at, size_t length) {
  size_t count = 0;
  while (count < length && is_digit(at[count])) count++;
  return count > 1 && at[0] == '0' ? 0 : count;
}

int cjson_is_type_name(const void *text, size_t length) {
  const uint8_t *at = text;
  if (length == 0 || (uint8_t)(at[0] - 'A') > 25) return 0;
  size_t dot = 1;
  while (dot < length && is_alphanumeric(at[dot])) dot++;
  if (length - dot < 3 || at[dot] != '.' || at[dot + 1] != 'v' || at[dot + 2] == '0') return 0;
  return number_length(at + dot + 2, length - dot - 2) == length - dot - 2;
}

int cjson_is_version(const void *text, size_t length) {
  const uint8_t *at = text;
  for (int part = 0; part < 3; part++) {
    size_t count = number_length(at, length);
    if (count == 0) return 0;
    at += count;
    length -= count;
    if (part == 2) return length == 0;
    if (length == 0 || *at != '.') return 0;
    at++;
    length--;
  }
  return 0;
}

int cjson_is_word(const void *text, size_t length, const char *others) {
  const uint8_t *at = text;
  for (size_t index = 0; index < length; index++) {
    uint8_t byte = at[index];
    if (is_alphanumeric(byte)) continue;
    if (byte == 0 || strchr(others, byte) == NULL) return 0;
  }
  return 1;
}
