// Finding members by blocks. Included once per instruction set, after its block_*.h.
//
// Outside of containers the text is walked from quote to quote, and what stands between two strings
// is looked at byte by byte, being short. Inside a container brackets outside strings are counted
// by block, four blocks at a time; only a block in which the count can reach zero is looked into.

INLINE block block_at(const uint8_t *bytes, size_t length, size_t base) {
  size_t left = length - base;
  return left >= 64 ? block_load(bytes + base) : block_load_part(bytes + base, left);
}

// The characters that a backslash stands before which is not escaped itself. `carry` tells whether the
// first byte is one, and becomes that of the next block.
INLINE uint64_t escaped_by_any(uint64_t backslashes, uint64_t *carry) {
  const uint64_t even = UINT64_C(0x5555555555555555);
  uint64_t first = *carry;
  // An escaped backslash escapes nothing.
  backslashes &= ~first;
  uint64_t starts = backslashes & ~(backslashes << 1);
  // Adding its first bit to a run clears it, and sets the bit behind: so those that begin at odd
  // places are found. One of them that leaves its bit behind the block has odd length.
  unsigned long long sum;
  *carry = __builtin_uaddll_overflow(backslashes, starts & ~even, &sum);
  // Every other backslash of a run escapes, from its first on.
  uint64_t escaping = (backslashes & even) ^ (backslashes & ~(uint64_t)sum);
  return first | escaping << 1;
}

// The same where there mostly are none.
INLINE uint64_t escaped_by(uint64_t backslashes, uint64_t *carry) {
  if (__builtin_expect((backslashes | *carry) == 0, 1)) return 0;
  return escaped_by_any(backslashes, carry);
}

// The position after the closing quote of the string that opens at `start`; 0 without one.
static size_t string_end(const uint8_t *bytes, size_t start, size_t length) {
  uint64_t escape = 0;
  for (size_t base = start + 1; base < length; base += 64) {
    block data = block_at(bytes, length, base);
    uint64_t quotes = block_equal(data, '"') & ~escaped_by(block_equal(data, '\\'), &escape);
    if (quotes != 0) return base + (size_t)__builtin_ctzll(quotes) + 1;
  }
  return 0;
}

// The closing bracket in this block at which a depth of `depth` has come to nothing; 64 without.
INLINE unsigned closing_bit(uint64_t opens, uint64_t closes, uint64_t depth) {
  // At the earliest it is the depth-th closing one; each that opens before it takes one more.
  uint64_t need = depth, opened = 0;
  while (closes != 0) {
    if (--need == 0) {
      uint64_t before = opens & ((closes & -closes) - 1);
      uint64_t count = (uint64_t)__builtin_popcountll(before);
      if (count == opened) return (unsigned)__builtin_ctzll(closes);
      need = count - opened;
      opened = count;
    }
    closes &= closes - 1;
  }
  return 64;
}

enum { NO_END = 0, STRAY_BACKSLASH = 1 };

// What passes from block to block inside a container.
struct nesting {
  uint64_t escape, in_string, depth;
};

// The brackets of a block that stand outside strings, and backslashes there.
struct brackets {
  uint64_t opens, closes, stray;
};

INLINE struct brackets brackets_of(block data, uint64_t backslashes, uint64_t escaped,
                                   uint64_t *in_string) {
  uint64_t inside = prefix_xor(block_equal(data, '"') & ~escaped) ^ *in_string;
  *in_string = (uint64_t)((int64_t)inside >> 63);
  block folded = block_or(data, 0x20);
  return (struct brackets){block_equal(folded, '{') & ~inside, block_equal(folded, '}') & ~inside,
                           backslashes & ~inside};
}

// Looks for the end in a block that begins at `base`: NO_END when the container goes on.
INLINE size_t end_in_block(struct brackets is, size_t base, uint64_t *depth) {
  uint64_t count = (uint64_t)__builtin_popcountll(is.closes);
  if (__builtin_expect(count >= *depth, 0)) {
    unsigned bit = closing_bit(is.opens, is.closes, *depth);
    if (bit < 64)
      return is.stray & ((UINT64_C(1) << bit) - 1) ? STRAY_BACKSLASH : base + bit + 1;
  }
  *depth += (uint64_t)__builtin_popcountll(is.opens) - count;
  return __builtin_expect(is.stray != 0, 0) ? STRAY_BACKSLASH : NO_END;
}

// The same in the bytes from `base` on, a block or what is left of the text. Brackets in `skipped`
// do not count.
INLINE size_t end_in_part(const uint8_t *bytes, size_t length, size_t base, uint64_t skipped,
                          struct nesting *state) {
  block data = block_at(bytes, length, base);
  uint64_t backslashes = block_equal(data, '\\');
  uint64_t escaped = escaped_by(backslashes, &state->escape);
  struct brackets is = brackets_of(data, backslashes, escaped, &state->in_string);
  is.opens &= ~skipped;
  return end_in_block(is, base, &state->depth);
}

enum { GROUP_BLOCKS = 4, GROUP_BYTES = 64 * GROUP_BLOCKS };

// The same in four whole blocks, from `at` on, where the text stands. Texts with backslashes mostly have
// some in each four and others none: asked once, that is foreseeable.
INLINE size_t end_in_group(const uint8_t *at, size_t base, struct nesting *state) {
  struct brackets is[GROUP_BLOCKS];
  uint64_t opens = 0, closes = 0, stray = 0;
  if (!group_has(at, '\\') && state->escape == 0) {
#pragma clang loop unroll(full)
    for (int i = 0; i < GROUP_BLOCKS; i++) {
      is[i] = brackets_of(block_load(at + 64 * i), 0, 0, &state->in_string);
      opens += (uint64_t)__builtin_popcountll(is[i].opens);
      closes += (uint64_t)__builtin_popcountll(is[i].closes);
    }
  } else {
#pragma clang loop unroll(full)
    for (int i = 0; i < GROUP_BLOCKS; i++) {
      block data = block_load(at + 64 * i);
      uint64_t backslashes = block_equal(data, '\\');
      uint64_t escaped = escaped_by_any(backslashes, &state->escape);
      is[i] = brackets_of(data, backslashes, escaped, &state->in_string);
      stray |= is[i].stray;
      opens += (uint64_t)__builtin_popcountll(is[i].opens);
      closes += (uint64_t)__builtin_popcountll(is[i].closes);
    }
  }
  if (__builtin_expect(stray != 0, 0)) return STRAY_BACKSLASH;
  if (__builtin_expect(closes < state->depth, 1)) {
    state->depth += opens - closes;
    return NO_END;
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < GROUP_BLOCKS; i++) {
    size_t end = end_in_block(is[i], base + 64 * (size_t)i, &state->depth);
    if (end != NO_END) return end;
  }
  return NO_END;
}

// The position after the container that opens at `start`; 0 without one.
static size_t container_end(const uint8_t *bytes, size_t start, size_t length) {
  struct nesting state = {0, 0, 1};
  // The bracket itself is counted already.
  size_t end = end_in_part(bytes, length, start, 1, &state), base = start + 64;
  while (end == NO_END && base < length) {
    if (length - base >= GROUP_BYTES) {
      end = end_in_group(bytes + base, base, &state);
      base += GROUP_BYTES;
    } else {
      end = end_in_part(bytes, length, base, 0, &state);
      base += 64;
    }
  }
  // Where a backslash stands outside a string, bytes are read one by one.
  return end == STRAY_BACKSLASH ? cjson_container_end_by_bytes(bytes, start, length) : end;
}

INLINE size_t skip_space(const uint8_t *bytes, size_t at, size_t end) {
  while (at < end && bytes[at] <= 0x20) at++;
  return at;
}

// The position after the value that begins at `start`; 0 without one.
static size_t value_end(const uint8_t *bytes, size_t start, size_t length) {
  uint8_t first = bytes[start];
  if (first == '"') return string_end(bytes, start, length);
  if ((first | 0x20) == '{') return container_end(bytes, start, length);
  return cjson_scalar_end_by_bytes(bytes, start, length);
}

// The quotes ahead that no backslash escapes, of one block.
struct quotes {
  size_t base;
  uint64_t bits;
  // 1 when the byte behind the block is escaped.
  uint64_t escape;
};

INLINE void quotes_load(struct quotes *quotes, const uint8_t *bytes, size_t length, size_t base) {
  block data = block_at(bytes, length, base);
  uint64_t escaped = escaped_by(block_equal(data, '\\'), &quotes->escape);
  quotes->base = base;
  quotes->bits = block_equal(data, '"') & ~escaped;
}

// Takes the next quote; the length without one.
INLINE size_t quotes_take(struct quotes *quotes, const uint8_t *bytes, size_t length) {
  while (quotes->bits == 0) {
    if (length - quotes->base <= 64) return length;
    quotes_load(quotes, bytes, length, quotes->base + 64);
  }
  size_t at = quotes->base + (size_t)__builtin_ctzll(quotes->bits);
  quotes->bits &= quotes->bits - 1;
  return at;
}

// Leaves out the quotes before `at`, which no backslash stands before.
INLINE void quotes_seek(struct quotes *quotes, const uint8_t *bytes, size_t length, size_t at) {
  if (at - quotes->base < 64) {
    quotes->bits = quotes->bits >> (at - quotes->base) << (at - quotes->base);
  } else if (at < length) {
    quotes->escape = 0;
    quotes_load(quotes, bytes, length, at);
  }
}

static int find(const cjson_names *names, const uint8_t *bytes, size_t length,
                cjson_found *found) {
  *found = (cjson_found){0};
  if (length > CJSON_LENGTH_MAX) return 0;
  size_t at = skip_space(bytes, 0, length);
  if (at >= length || bytes[at] != '{') return 0;
  at = skip_space(bytes, at + 1, length);
  struct keeper keeper = {names, 0, 0, 0};
  bool is_whole = true;
  if (at >= length) return 0;
  struct quotes quotes = {at, 0, 0};
  quotes_load(&quotes, bytes, length, at);
  while (at < length && bytes[at] == '"') {
    quotes_take(&quotes, bytes, length);
    size_t name_end = quotes_take(&quotes, bytes, length) + 1, end;
    size_t start = skip_space(bytes, name_end, length);
    is_whole = start < length && bytes[start] == ':';
    if (!is_whole) break;
    start = skip_space(bytes, start + 1, length);
    is_whole = start < length;
    if (!is_whole) break;
    if (bytes[start] == '"') {
      quotes_take(&quotes, bytes, length);
      end = quotes_take(&quotes, bytes, length) + 1;
      is_whole = end <= length;
    } else {
      end = value_end(bytes, start, length);
      is_whole = end != 0;
      quotes_seek(&quotes, bytes, length, end);
    }
    if (!is_whole) break;
    keep_member(&keeper, bytes, length, at + 1, name_end - 1, packed(start, end), found);
    at = skip_space(bytes, end, length);
    if (at >= length || bytes[at] != ',') break;
    at = skip_space(bytes, at + 1, length);
  }
  found->named = keeper.named;
  found->others = keeper.others - keeper.named;
  return is_whole && at < length && bytes[at] == '}';
}
