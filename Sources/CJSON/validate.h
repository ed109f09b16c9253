// Checking a whole text by blocks. Included once per instruction set, after find.h and utf8.h.
//
// First, per block: strings (their ends, escapes, control characters, UTF-8), numbers and
// literals. What is left of the block is its tokens, one byte each: a bracket, comma or colon
// itself, a string's opening quote, the first byte of a number or literal. They are collected, and
// the grammar is checked on 64 of them at a time, as masks: which token may follow which is local;
// whether a comma stands in an object shows by the name and colon behind it; and only brackets,
// which are few, are taken one by one, against a stack of one bit per level.

// Which of 64 tokens are of a kind.
struct kinds {
  uint64_t open_object, close_object, open_array, close_array, colon, comma, quote, scalar;
};

struct grammar {
  // Those of the 64 tokens before.
  struct kinds before;
  // The kinds of the open containers, the innermost in the lowest bit: 1 is an object.
  uint64_t stack;
  int depth;
  bool is_begun;
  bool is_bad;
};

INLINE struct kinds kinds_of(block tokens, uint64_t all) {
  struct kinds k;
  k.open_object = block_equal(tokens, '{');
  k.close_object = block_equal(tokens, '}');
  k.open_array = block_equal(tokens, '[');
  k.close_array = block_equal(tokens, ']');
  k.colon = block_equal(tokens, ':');
  k.comma = block_equal(tokens, ',');
  k.quote = block_equal(tokens, '"');
  uint64_t others = k.open_object | k.close_object | k.open_array | k.close_array | k.colon |
                    k.comma | k.quote;
  k.scalar = ~others & all;
  return k;
}

// The tokens of a kind moved up by one or two places, behind those of the group before.
#define ONE_BEHIND(kind) (k.kind << 1 | g->before.kind >> 63)
#define TWO_BEHIND(kind) (k.kind << 2 | g->before.kind >> 62)

// Takes the brackets of a group one by one. `in_object` and `in_array` are tokens that can only
// stand there.
INLINE void take_brackets(struct grammar *g, struct kinds k, uint64_t in_object,
                          uint64_t in_array) {
  uint64_t opens = k.open_object | k.open_array, brackets = opens | k.close_object | k.close_array;
  uint64_t objects = k.open_object | k.close_object, stack = g->stack, wrong = 0;
  int depth = g->depth;
  while (brackets != 0) {
    uint64_t bit = brackets & -brackets, through = bit ^ (bit - 1);
    brackets ^= bit;
    uint64_t is_object = -(stack & 1), is_nothing = -(uint64_t)(depth == 0);
    wrong |= through & ((in_array & (is_object | is_nothing)) | (in_object & (~is_object | is_nothing)));
    in_object &= ~through;
    in_array &= ~through;
    uint64_t kind = (objects & bit) != 0;
    if (opens & bit) {
      if (depth == CJSON_DEPTH_MAX) wrong = 1;
      stack = stack << 1 | kind;
      depth++;
    } else {
      if (depth == 0) wrong = 1;
      wrong |= (stack & 1) ^ kind;
      stack >>= 1;
      depth--;
    }
    if (wrong) break;
  }
  uint64_t is_object = -(stack & 1), is_nothing = -(uint64_t)(depth == 0);
  wrong |= (in_array & (is_object | is_nothing)) | (in_object & (~is_object | is_nothing));
  g->stack = stack;
  g->depth = depth;
  g->is_bad |= wrong != 0;
}

// Takes the next 1 to 64 tokens; fewer than 64 only at the end.
INLINE void take_tokens(struct grammar *g, const uint8_t *tokens, unsigned count) {
  uint64_t all = count == 64 ? ~UINT64_C(0) : (UINT64_C(1) << count) - 1;
  block data = count == 64 ? block_load(tokens) : block_load_part(tokens, count);
  struct kinds k = kinds_of(data, all);
  uint64_t closes = k.close_object | k.close_array, ends = closes | k.comma;
  uint64_t values = k.open_object | k.open_array | k.quote | k.scalar;
  uint64_t after_quote = ONE_BEHIND(quote), after_comma = ONE_BEHIND(comma);
  uint64_t after_name = after_quote & TWO_BEHIND(open_object);
  uint64_t after_comma_string = after_quote & TWO_BEHIND(comma);
  uint64_t right = ONE_BEHIND(open_object) & (k.quote | k.close_object);
  right |= ONE_BEHIND(open_array) & (values | k.close_array);
  right |= (ONE_BEHIND(colon) | after_comma) & values;
  right |= (ONE_BEHIND(close_object) | ONE_BEHIND(close_array) | ONE_BEHIND(scalar)) & ends;
  right |= after_quote & (ends | k.colon);
  right |= !g->is_begun & values;
  uint64_t wrong = all & ~right;
  wrong |= k.colon & ~(after_name | after_comma_string);
  wrong |= after_name & ~k.colon & all;
  uint64_t in_array = (after_comma & values & ~k.quote) | (after_comma_string & ~k.colon & all);
  g->is_bad |= wrong != 0;
  g->is_begun = true;
  take_brackets(g, k, k.colon, in_array);
#define KEEP(kind) \
  g->before.kind = count == 64 ? k.kind : (k.kind << (64 - count) | g->before.kind >> count)
  KEEP(open_object);
  KEEP(close_object);
  KEEP(open_array);
  KEEP(close_array);
  KEEP(colon);
  KEEP(comma);
  KEEP(quote);
  KEEP(scalar);
#undef KEEP
}

// Whether the tokens so far are one whole value.
INLINE bool grammar_ends(const struct grammar *g) {
  const struct kinds *k = &g->before;
  uint64_t last = k->close_object | k->close_array | k->scalar | k->quote;
  uint64_t is_member = k->quote >> 63 & (k->comma | k->open_object) >> 62;
  return !g->is_bad && g->is_begun && g->depth == 0 && last >> 63 != 0 && is_member == 0;
}

// Numbers and literals of a block, from their first bytes.
INLINE bool scalars_are_valid(const uint8_t *bytes, size_t base, size_t length, uint64_t starts) {
  for (; starts != 0; starts &= starts - 1) {
    size_t at = base + (size_t)__builtin_ctzll(starts);
    // The most frequent ones are a digit or a few.
    size_t end = at;
    while (end < length && (uint8_t)(bytes[end] - '0') <= 9) end++;
    bool is_plain = end > at && (end == length || !cjson_is_scalar[bytes[end]]) &&
                    (bytes[at] != '0' || end == at + 1) && end - at < 300;
    if (!is_plain && !cjson_scalar_is_valid(bytes, at, length)) return false;
  }
  return true;
}

INLINE bool escapes_are_valid(const uint8_t *bytes, size_t base, size_t length, uint64_t escaped,
                              size_t *low_at) {
  for (; escaped != 0; escaped &= escaped - 1) {
    size_t at = base + (size_t)__builtin_ctzll(escaped);
    if (!cjson_escape_is_valid(bytes, at, length, low_at)) return false;
  }
  return true;
}

struct classes {
  uint64_t operators, spaces;
};

INLINE struct classes classes_of(block data) {
#if HAS_TABLES
  // A byte is a space or an operator when it is the one that its low nibble stands for; folding
  // makes braces of brackets, and operators of two control characters, which are refused anyway.
  static const uint8_t spaces[16] = {' ', 0, 0, 0, 0, 0, 0, 0, 0, '\t', '\n', 0, 0, '\r', 0, 0};
  static const uint8_t operators[16] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, ':', '{', ',', '}', 0, 0};
  return (struct classes){block_matches(block_or(data, 0x20), block_table(operators, data)),
                          block_matches(data, block_table(spaces, data))};
#else
  block folded = block_or(data, 0x20);
  return (struct classes){
      block_equal(folded, '{') | block_equal(folded, '}') | block_equal(data, ':') |
          block_equal(data, ','),
      block_equal(data, ' ') | block_equal(data, '\t') | block_equal(data, '\n') |
          block_equal(data, '\r')};
#endif
}

static int validate(const uint8_t *bytes, size_t length) {
  struct utf8 utf8;
  utf8_begin(&utf8);
  struct grammar grammar = {0};
  uint64_t escape = 0, in_string = 0, in_scalar = 0;
  size_t low_at = 0;
  uint8_t tokens[64 + 64 + 8];
  unsigned count = 0;
  for (size_t base = 0; base < length; base += 64) {
    block data = block_at(bytes, length, base);
    uint64_t escaped = escaped_by(block_equal(data, '\\'), &escape);
    uint64_t quotes = block_equal(data, '"') & ~escaped;
    uint64_t inside = prefix_xor(quotes) ^ in_string;
    in_string = (uint64_t)((int64_t)inside >> 63);
    struct classes is = classes_of(data);
    uint64_t high_bits = block_high_bits(data);
    uint64_t wrong = block_below(data, 0x20) & (inside | ~is.spaces);
    uint64_t scalars = ~(is.operators | is.spaces | quotes | inside);
    uint64_t starts = scalars & ~(scalars << 1 | in_scalar);
    in_scalar = scalars >> 63;
    utf8_step(&utf8, data, high_bits, bytes, base, length);
    // Behind the end, an escaped space is none of the text.
    escaped &= inside;
    if (escaped != 0) {
      if (length - base < 64) escaped &= (UINT64_C(1) << (length - base)) - 1;
      if (!escapes_are_valid(bytes, base, length, escaped, &low_at)) return 0;
    }
    if (starts != 0 && !scalars_are_valid(bytes, base, length, starts)) return 0;
    uint64_t found = (is.operators & ~inside) | (quotes & inside) | starts;
    block_compress(data, bytes + base, found, tokens + count);
    count += (unsigned)__builtin_popcountll(found);
    if (count >= 64) {
      take_tokens(&grammar, tokens, 64);
      memcpy(tokens, tokens + 64, 64);
      count -= 64;
    }
    if ((wrong != 0) | utf8.is_bad | grammar.is_bad) return 0;
  }
  // A text that ends in ASCII leaves no sequence open, and no other is a value.
  if (in_string != 0) return 0;
  if (count > 0) take_tokens(&grammar, tokens, count);
  return grammar_ends(&grammar);
}
