// What needs no vectors: for the sets without byte shuffles and carry-less products.

INLINE uint64_t prefix_xor(uint64_t bits) {
  for (int step = 1; step < 64; step *= 2) bits ^= bits << step;
  return bits;
}

// Writes the bytes whose bits are set one after the other.
INLINE void block_compress(block data, const uint8_t *at, uint64_t bits, uint8_t *out) {
  (void)data;
  for (; bits != 0; bits &= bits - 1) *out++ = at[__builtin_ctzll(bits)];
}

// Writes the places of the bits that are set, plus `offset`.
INLINE void block_positions(uint64_t bits, unsigned offset, uint8_t *out) {
  for (; bits != 0; bits &= bits - 1) *out++ = (uint8_t)(offset + (unsigned)__builtin_ctzll(bits));
}

#define HAS_TABLES 0
