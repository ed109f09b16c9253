// UTF-8 by blocks. Included once per instruction set, after its block_*.h.
//
// With byte shuffles every pair of neighbouring bytes is looked up in three tables of sixteen, as
// in Keiser and Lemire, "Validating UTF-8 in less than one instruction per byte" (2021): each bit
// of a table's entry is one way to be wrong, and a pair is wrong where all three agree. Without
// shuffles, blocks that are not ASCII are read sequence by sequence.

struct utf8 {
  block before;
  // Whether a sequence may reach over from the block before.
  bool is_open;
  bool is_bad;
  // Up to here the text is known, where it is read by sequences.
  size_t next;
};

INLINE void utf8_begin(struct utf8 *state) {
  static const uint8_t zeros[64] = {0};
  state->before = block_load(zeros);
  state->is_open = state->is_bad = false;
  state->next = 0;
}

#if HAS_TABLES

INLINE uint64_t utf8_errors(block before, block data) {
  enum {
    too_short = 1 << 0,  // a lead byte, and no continuation
    too_long = 1 << 1,   // ASCII, and a continuation
    overlong_3 = 1 << 2,
    too_large = 1 << 3,
    surrogate = 1 << 4,
    overlong_2 = 1 << 5,
    too_large_1000 = 1 << 6,  // above F4, and 1000xxxx
    overlong_4 = 1 << 6,      // F0, and 1000xxxx
    two_continuations = 1 << 7,
    any = too_short | too_long | two_continuations,
    large = any | too_large | too_large_1000,
    second = too_long | overlong_2 | two_continuations,
  };
  static const uint8_t first_high[16] = {
      too_long, too_long, too_long, too_long, too_long, too_long, too_long, too_long,
      two_continuations, two_continuations, two_continuations, two_continuations,
      too_short | overlong_2, too_short, too_short | overlong_3 | surrogate,
      too_short | too_large | too_large_1000 | overlong_4};
  static const uint8_t first_low[16] = {
      any | overlong_3 | overlong_2 | overlong_4, any | overlong_2, any, any, any | too_large,
      large, large, large, large, large, large, large, large, large | surrogate, large, large};
  static const uint8_t second_high[16] = {
      too_short, too_short, too_short, too_short, too_short, too_short, too_short, too_short,
      second | overlong_3 | too_large_1000 | overlong_4, second | overlong_3 | too_large,
      second | surrogate | too_large, second | surrogate | too_large,
      too_short, too_short, too_short, too_short};
  block first = block_behind(before, data, 1);
  block wrong = block_and(block_table(first_high, block_high_nibbles(first)),
                          block_table(first_low, block_low_nibbles(first)));
  wrong = block_and(wrong, block_table(second_high, block_high_nibbles(data)));
  // Two continuations are right where the byte two or three before leads three or four.
  block third = block_at_least(block_behind(before, data, 2), 0xE0);
  block fourth = block_at_least(block_behind(before, data, 3), 0xF0);
  return block_differs_in_high_bit(wrong, block_either(third, fourth));
}

INLINE void utf8_step(struct utf8 *state, block data, uint64_t high_bits, const uint8_t *bytes,
                      size_t base, size_t length) {
  (void)bytes, (void)base, (void)length;
  if (high_bits == 0 && !state->is_open) return;
  state->is_bad |= utf8_errors(state->before, data) != 0;
  state->before = data;
  state->is_open = high_bits >> 61 != 0;
}

#else

INLINE void utf8_step(struct utf8 *state, block data, uint64_t high_bits, const uint8_t *bytes,
                      size_t base, size_t length) {
  (void)data;
  if (high_bits == 0 && state->next <= base) return;
  size_t end = length - base < 64 ? length : base + 64;
  if (state->next < base) state->next = base;
  while (state->next < end && !state->is_bad) {
    size_t next = cjson_utf8_next(bytes, state->next, length);
    state->is_bad = next == 0;
    state->next = next;
  }
}

#endif

static int is_utf8(const uint8_t *bytes, size_t length) {
  struct utf8 state;
  utf8_begin(&state);
  for (size_t base = 0; base < length; base += 64) {
    block data = block_at(bytes, length, base);
    utf8_step(&state, data, block_high_bits(data), bytes, base, length);
    if (state.is_bad) return 0;
  }
  // A sequence that the end cuts off.
  static const uint8_t zeros[64] = {0};
  if (state.is_open) utf8_step(&state, block_load(zeros), 0, bytes, length, length);
  return !state.is_bad;
}
