// The byte-by-byte reader: what the kernels are held to, and what they hand over to where bytes
// and blocks would see a text differently.
#include "kernels.h"

static size_t skip_space(const uint8_t *bytes, size_t at, size_t end) {
  while (at < end && bytes[at] <= 0x20) at++;
  return at;
}

// The position after the closing quote of the string that opens at `start`; 0 without one.
static size_t string_end(const uint8_t *bytes, size_t start, size_t end) {
  for (size_t at = start + 1; at < end; at += bytes[at] == '\\' ? 2 : 1)
    if (bytes[at] == '"') return at + 1;
  return 0;
}

size_t cjson_container_end_by_bytes(const uint8_t *bytes, size_t start, size_t end) {
  size_t depth = 0, at = start;
  while (at < end) {
    switch (bytes[at]) {
      case '"':
        at = string_end(bytes, at, end);
        if (at == 0) return 0;
        continue;
      case '{':
      case '[': depth++; break;
      case '}':
      case ']':
        if (--depth == 0) return at + 1;
        break;
      default: break;
    }
    at++;
  }
  return 0;
}

size_t cjson_scalar_end_by_bytes(const uint8_t *bytes, size_t start, size_t end) {
  size_t at = start;
  for (; at < end; at++) switch (bytes[at]) {
      case ',':
      case '}':
      case ']':
      case ' ':
      case '\t':
      case '\n':
      case '\r': return at > start ? at : 0;
      default: break;
    }
  return at;
}

static size_t value_end(const uint8_t *bytes, size_t start, size_t end) {
  if (start >= end) return 0;
  switch (bytes[start]) {
    case '"': return string_end(bytes, start, end);
    case '{':
    case '[': return cjson_container_end_by_bytes(bytes, start, end);
    default: return cjson_scalar_end_by_bytes(bytes, start, end);
  }
}

int cjson_find_reference(const cjson_names *names, const void *text, size_t length,
                         cjson_found *found) {
  const uint8_t *bytes = text;
  *found = (cjson_found){0};
  struct keeper keeper = {names, 0, 0, 0};
  if (length > CJSON_LENGTH_MAX) return 0;
  size_t at = skip_space(bytes, 0, length);
  if (at >= length || bytes[at] != '{') return 0;
  at = skip_space(bytes, at + 1, length);
  while (at < length && bytes[at] == '"') {
    size_t name = at + 1, name_end = string_end(bytes, at, length);
    if (name_end == 0) return 0;
    at = skip_space(bytes, name_end, length);
    if (at >= length || bytes[at] != ':') return 0;
    size_t start = skip_space(bytes, at + 1, length), end = value_end(bytes, start, length);
    if (end == 0) return 0;
    keep_member(&keeper, bytes, length, name, name_end - 1, packed(start, end), found);
    found->named = keeper.named;
    found->others = keeper.others - keeper.named;
    at = skip_space(bytes, end, length);
    if (at >= length || bytes[at] != ',') break;
    at = skip_space(bytes, at + 1, length);
  }
  return at < length && bytes[at] == '}';
}

size_t cjson_value_end_reference(const void *bytes, size_t length) {
  return value_end(bytes, 0, length);
}
