// Numbers, literals, escapes and UTF-8 sequences, one at a time: what blocks hand over.
#include "kernels.h"

#define EIGHT_(x) x, x, x, x, x, x, x, x
#define SIXTEEN_(x) EIGHT_(x), EIGHT_(x)

const uint8_t cjson_is_scalar[256] = {
    1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 1, 1,  // tab, newline, carriage return
    SIXTEEN_(1),
    0, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1,  // space, quote, comma
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1,  // colon
    SIXTEEN_(1),
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 1, 1,  // brackets
    SIXTEEN_(1),
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 1, 1,  // braces
    SIXTEEN_(1), SIXTEEN_(1), SIXTEEN_(1), SIXTEEN_(1),
    SIXTEEN_(1), SIXTEEN_(1), SIXTEEN_(1), SIXTEEN_(1)};

static bool is_digit(const uint8_t *bytes, size_t at, size_t length) {
  return at < length && (uint8_t)(bytes[at] - '0') <= 9;
}

// 2¹⁰²⁴ − 2⁹⁷⁰: the least number that a double rounds to infinity, as 0.d₁d₂…d₃₀₉ · 10³⁰⁹.
static const char overflow_digits[] =
    "1797693134862315807937289714053034150799341327100378269361737789804449682927647509466490"
    "1797758720709633028641669288791094655554785194040263065748867150582068190890200070838367"
    "6273854845817711531764475730270069855571366959622842914819860834936475292719074168444365"
    "510704342711559699508093042880177904174497792";

// Whether the number whose digits, point included, are those of [start, end) is beyond a double's
// range. `exponent` is the power of ten that it is multiplied by.
static bool overflows(const uint8_t *bytes, size_t start, size_t end, int64_t exponent) {
  // The first digit that is not 0, and its place: the number is 0.d₁d₂… · 10^exponent.
  size_t first = start;
  bool is_fraction = false;
  while (first < end && (bytes[first] == '0' || bytes[first] == '.')) {
    if (bytes[first] == '.') is_fraction = true;
    else if (is_fraction) exponent--;
    first++;
  }
  if (first == end) return false;
  if (!is_fraction)
    for (size_t at = first; at < end && bytes[at] != '.'; at++) exponent++;
  if (exponent != 309) return exponent > 309;
  size_t at = first;
  for (const char *digit = overflow_digits; *digit != 0; digit++, at++) {
    if (at < end && bytes[at] == '.') at++;
    char here = at < end ? (char)bytes[at] : '0';
    if (here != *digit) return here > *digit;
  }
  return true;
}

static bool number_is_valid(const uint8_t *bytes, size_t at, size_t length, size_t *end) {
  if (bytes[at] == '-') at++;
  size_t start = at;
  if (!is_digit(bytes, at, length)) return false;
  if (bytes[at] == '0') at++;
  else
    while (is_digit(bytes, at, length)) at++;
  bool may_overflow = at - start >= 308;
  if (at < length && bytes[at] == '.') {
    at++;
    if (!is_digit(bytes, at, length)) return false;
    while (is_digit(bytes, at, length)) at++;
  }
  size_t digits_end = at;
  int64_t exponent = 0;
  if (at < length && (bytes[at] | 0x20) == 'e') {
    at++;
    bool is_negative = at < length && bytes[at] == '-';
    if (at < length && (bytes[at] == '-' || bytes[at] == '+')) at++;
    if (!is_digit(bytes, at, length)) return false;
    // No text is long enough to make up for an exponent beyond this.
    for (; is_digit(bytes, at, length); at++)
      if (exponent < INT64_C(1) << 48) exponent = exponent * 10 + (bytes[at] - '0');
    if (is_negative) exponent = -exponent;
    may_overflow = may_overflow || exponent > 0;
  }
  *end = at;
  return !may_overflow || !overflows(bytes, start, digits_end, exponent);
}

bool cjson_scalar_is_valid(const uint8_t *bytes, size_t at, size_t length) {
  size_t end = at, left = length - at;
  switch (bytes[at]) {
    case 't':
      if (left < 4 || memcmp(bytes + at, "true", 4) != 0) return false;
      end = at + 4;
      break;
    case 'n':
      if (left < 4 || memcmp(bytes + at, "null", 4) != 0) return false;
      end = at + 4;
      break;
    case 'f':
      if (left < 5 || memcmp(bytes + at, "false", 5) != 0) return false;
      end = at + 5;
      break;
    default:
      if (!number_is_valid(bytes, at, length, &end)) return false;
  }
  return end == length || !cjson_is_scalar[bytes[end]];
}

// The value of four hexadecimal digits; above 16 bits when they are none.
static uint32_t four_digits(const uint8_t *bytes, size_t at, size_t length) {
  if (length - at < 4) return UINT32_MAX;
  uint32_t value = 0;
  for (size_t end = at + 4; at < end; at++) {
    uint8_t digit = (uint8_t)(bytes[at] - '0'), letter = (uint8_t)((bytes[at] | 0x20) - 'a');
    if (digit <= 9) value = value << 4 | digit;
    else if (letter <= 5) value = value << 4 | (uint32_t)(letter + 10);
    else return UINT32_MAX;
  }
  return value;
}

bool cjson_escape_is_valid(const uint8_t *bytes, size_t at, size_t length, size_t *low_at) {
  switch (bytes[at]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't': return true;
    case 'u': break;
    default: return false;
  }
  uint32_t unit = four_digits(bytes, at + 1, length);
  if (unit > 0xFFFF) return false;
  if (unit < 0xD800 || unit > 0xDFFF) return true;
  if (unit >= 0xDC00) return *low_at == at;
  // Four digits stand before the backslash, so nothing escapes it.
  size_t next = at + 6;
  if (next >= length || bytes[next - 1] != '\\' || bytes[next] != 'u') return false;
  uint32_t low = four_digits(bytes, next + 1, length);
  *low_at = next;
  return low >= 0xDC00 && low <= 0xDFFF;
}

size_t cjson_utf8_next(const uint8_t *bytes, size_t at, size_t length) {
  uint8_t lead = bytes[at];
  if (lead < 0x80) return at + 1;
  size_t more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
  if (lead < 0xC2 || lead > 0xF4 || length - at <= more) return 0;
  // The first continuation's range keeps out overlong forms, surrogates and what is above U+10FFFF.
  uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (bytes[at + 1] < low || bytes[at + 1] > high) return 0;
  for (size_t index = 2; index <= more; index++)
    if ((bytes[at + index] & 0xC0) != 0x80) return 0;
  return at + more + 1;
}
