// The inside of strings by blocks. Included once per instruction set, after find.h.

static size_t plain_prefix(const uint8_t *bytes, size_t length) {
  for (size_t base = 0; base < length; base += 64) {
    block data = block_at(bytes, length, base);
    uint64_t ends = block_equal(data, '"') | block_equal(data, '\\') | block_below(data, 0x20);
    if (ends != 0) return base + (size_t)__builtin_ctzll(ends);
  }
  return length;
}
