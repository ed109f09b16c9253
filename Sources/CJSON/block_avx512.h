// Blocks of 64 bytes in one register of AVX-512.
#include <immintrin.h>

typedef __m512i block;

INLINE block block_load(const uint8_t *at) { return _mm512_loadu_si512(at); }

// The first `count` bytes, 1 to 63, and spaces. Bytes behind them are never touched.
INLINE block block_load_part(const uint8_t *at, size_t count) {
  return _mm512_mask_loadu_epi8(_mm512_set1_epi8(' '), (UINT64_C(1) << count) - 1, at);
}

INLINE uint64_t block_equal(block data, char byte) {
  return in_register(_mm512_cmpeq_epi8_mask(data, _mm512_set1_epi8(byte)));
}

// Whether any of 256 bytes is this one.
INLINE bool group_has(const uint8_t *at, char byte) {
  __m512i all = _mm512_set1_epi8(byte);
  __mmask64 first = _mm512_cmpeq_epi8_mask(block_load(at), all);
  __mmask64 second = _mm512_cmpeq_epi8_mask(block_load(at + 64), all);
  __mmask64 third = _mm512_cmpeq_epi8_mask(block_load(at + 128), all);
  __mmask64 fourth = _mm512_cmpeq_epi8_mask(block_load(at + 192), all);
  return !_kortestz_mask64_u8(_kor_mask64(first, second), _kor_mask64(third, fourth));
}

INLINE uint64_t block_below(block data, uint8_t bound) {
  return in_register(_mm512_cmplt_epu8_mask(data, _mm512_set1_epi8((char)bound)));
}

INLINE block block_or(block data, uint8_t bits) {
  return _mm512_or_si512(data, _mm512_set1_epi8((char)bits));
}

INLINE uint64_t block_high_bits(block data) { return _mm512_movepi8_mask(data); }

INLINE uint64_t prefix_xor(uint64_t bits) {
  __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)bits), _mm_set1_epi8(-1), 0);
  return in_register((uint64_t)_mm_cvtsi128_si64(product));
}

INLINE block block_table(const uint8_t table[16], block index) {
  __m128i row = _mm_loadu_si128((const __m128i *)table);
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(row), index);
}

INLINE uint64_t block_matches(block a, block b) { return in_register(_mm512_cmpeq_epi8_mask(a, b)); }

// Writes the bytes whose bits are set one after the other; up to 64 bytes are written.
INLINE void block_compress(block data, const uint8_t *at, uint64_t bits, uint8_t *out) {
  (void)at;
  _mm512_storeu_si512(out, _mm512_maskz_compress_epi8(bits, data));
}

// Writes the places of the bits that are set, plus `offset`; up to 64 bytes are written.
INLINE void block_positions(uint64_t bits, unsigned offset, uint8_t *out) {
  static const uint8_t places[64] = {
      0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
      22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
      44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
  block moved = _mm512_or_si512(_mm512_loadu_si512(places), _mm512_set1_epi8((char)offset));
  _mm512_storeu_si512(out, _mm512_maskz_compress_epi8(bits, moved));
}

#define HAS_TABLES 1

// The block moved up by `count` bytes, behind the last ones of `before`.
INLINE block block_behind(block before, block data, int count) {
  block across = _mm512_alignr_epi64(data, before, 6);
  switch (count) {
    case 1: return _mm512_alignr_epi8(data, across, 15);
    case 2: return _mm512_alignr_epi8(data, across, 14);
    default: return _mm512_alignr_epi8(data, across, 13);
  }
}

INLINE block block_high_nibbles(block data) {
  return _mm512_and_si512(_mm512_srli_epi16(data, 4), _mm512_set1_epi8(0x0F));
}

INLINE block block_low_nibbles(block data) { return _mm512_and_si512(data, _mm512_set1_epi8(0x0F)); }

INLINE block block_and(block a, block b) { return _mm512_and_si512(a, b); }

INLINE block block_either(block a, block b) { return _mm512_or_si512(a, b); }

// Which bytes are at least `bound`, in the highest bit of each byte of the answer; `bound` is
// above 0x80.
INLINE block block_at_least(block data, uint8_t bound) {
  return _mm512_subs_epu8(data, _mm512_set1_epi8((char)(bound - 0x80)));
}

INLINE uint64_t block_differs_in_high_bit(block a, block b) {
  block difference = _mm512_xor_si512(_mm512_and_si512(b, _mm512_set1_epi8((char)0x80)), a);
  return _mm512_test_epi8_mask(difference, difference);
}
