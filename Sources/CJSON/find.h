// Finding members by blocks. Included once per instruction set, after its block_*.h.
//
// Outside of containers the text is walked from quote to quote: the quotes of four blocks at a
// time are written down first, so that no step waits for the one before, and what stands between
// two strings is looked at byte by byte, being short. Inside a container brackets outside strings
// are counted by block; only a block in which the count can reach zero is looked into.

INLINE block block_at(const uint8_t *bytes, size_t length, size_t base) {
  size_t left = length - base;
  return left >= 64 ? block_load(bytes + base) : block_load_part(bytes + base, left);
}

// The same where backslashes follow each other. The run at the end decides about the next block,
// whatever came before, unless it is the whole block.
static __attribute__((noinline)) uint64_t escaped_by_runs(uint64_t backslashes, uint64_t *carry) {
  const uint64_t even = UINT64_C(0x5555555555555555);
  uint64_t first = *carry;
  if (~backslashes != 0) *carry = (uint64_t)__builtin_clzll(~backslashes) & 1;
  // An escaped backslash escapes nothing.
  backslashes &= ~first;
  uint64_t starts = backslashes & ~(backslashes << 1);
  // Adding its first bit to a run leaves one bit, behind the run.
  uint64_t behind_even = backslashes + (starts & even);
  uint64_t behind_odd = backslashes + (starts & ~even);
  return first | (((behind_even & ~even) | (behind_odd & even)) & ~backslashes);
}

// The characters that an odd run of backslashes stands before, other than backslashes. `carry`
// tells whether the first byte is escaped, and becomes that of the next block.
INLINE uint64_t escaped_by(uint64_t backslashes, uint64_t *carry) {
  uint64_t behind = backslashes << 1 | *carry;
  if ((backslashes | *carry) == 0) return 0;
  if (__builtin_expect((backslashes & behind) != 0, 0)) return escaped_by_runs(backslashes, carry);
  *carry = backslashes >> 63;
  return behind;
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

// The brackets of a block that stand outside strings.
struct brackets {
  uint64_t opens, closes, stray;
};

INLINE struct brackets brackets_of(block data, struct nesting *state) {
  uint64_t backslashes = block_equal(data, '\\');
  uint64_t quotes = block_equal(data, '"') & ~escaped_by(backslashes, &state->escape);
  uint64_t inside = prefix_xor(quotes) ^ state->in_string;
  state->in_string = (uint64_t)((int64_t)inside >> 63);
  block folded = block_or(data, 0x20);
  return (struct brackets){block_equal(folded, '{') & ~inside, block_equal(folded, '}') & ~inside,
                           backslashes & ~inside};
}

// Looks for the end in a block that begins at `base`: NO_END when the container goes on.
INLINE size_t end_in_block(struct brackets is, size_t base, uint64_t *depth) {
  uint64_t count = (uint64_t)__builtin_popcountll(is.closes);
  if (count >= *depth) {
    unsigned bit = closing_bit(is.opens, is.closes, *depth);
    if (bit < 64)
      return is.stray & ((UINT64_C(1) << bit) - 1) ? STRAY_BACKSLASH : base + bit + 1;
  }
  *depth += (uint64_t)__builtin_popcountll(is.opens) - count;
  return is.stray ? STRAY_BACKSLASH : NO_END;
}

// Where a backslash stands outside a string, bytes are read one by one.
INLINE size_t settled(size_t end, const uint8_t *bytes, size_t start, size_t length) {
  return end == STRAY_BACKSLASH ? cjson_container_end_by_bytes(bytes, start, length) : end;
}

// The position after the container that opens at `start`; 0 without one.
static size_t container_end(const uint8_t *bytes, size_t start, size_t length) {
  struct nesting state = {0, 0, 1};
  struct brackets is = brackets_of(block_at(bytes, length, start), &state);
  // The bracket itself is counted already.
  is.opens &= ~UINT64_C(1);
  size_t end = end_in_block(is, start, &state.depth), base = start + 64;
  if (end != NO_END) return settled(end, bytes, start, length);
  for (; base + 64 <= length; base += 64) {
    end = end_in_block(brackets_of(block_load(bytes + base), &state), base, &state.depth);
    if (end != NO_END) return settled(end, bytes, start, length);
  }
  if (base >= length) return NO_END;
  block rest = block_load_part(bytes + base, length - base);
  end = end_in_block(brackets_of(rest, &state), base, &state.depth);
  return end == NO_END ? NO_END : settled(end, bytes, start, length);
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
  struct member members[MEMBERS_AT_ONCE];
  unsigned count = 0;
  bool is_whole = true, is_first = true;
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
    members[count++] = (struct member){packed(at + 1, name_end - 1), packed(start, end)};
    if (count == MEMBERS_AT_ONCE) {
      keep_more_members(names, bytes, length, members, count, found);
      count = 0;
      is_first = false;
    }
    at = skip_space(bytes, end, length);
    if (at >= length || bytes[at] != ',') break;
    at = skip_space(bytes, at + 1, length);
  }
  if (is_first) keep_members(names, bytes, length, members, count, found);
  else keep_more_members(names, bytes, length, members, count, found);
  return is_whole && at < length && bytes[at] == '}';
}
