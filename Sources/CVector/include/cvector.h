// Arithmetic of vectors in the widest registers of the processor at hand, and the checksum of
// index files. Swift cannot attach target features to one function; C can.
#ifndef CVECTOR_H
#define CVECTOR_H

#include <stddef.h>
#include <stdint.h>

/// Instruction sets that have kernels of their own, narrowest first.
enum {
  CVECTOR_BASELINE = 0,
  CVECTOR_AVX2_FMA = 1,
  CVECTOR_AVX512F = 2,
};

/// The widest set that this processor and kernel can run.
int cvector_level(void);

/// Σ aᵢ·bᵢ over `count` floats of any alignment, with the widest kernel.
float cvector_dot_f32(const float *a, const float *b, size_t count);

/// Σ (aᵢ − bᵢ)² over `count` floats of any alignment, with the widest kernel.
float cvector_l2_f32(const float *a, const float *b, size_t count);

/// The same sums by the kernel of one set, so that each can be tested. `level` must not be above
/// `cvector_level()`.
float cvector_dot_f32_at(int level, const float *a, const float *b, size_t count);
float cvector_l2_f32_at(int level, const float *a, const float *b, size_t count);

/// CRC-32C (Castagnoli) of `length` bytes, continuing from `seed` (0 to begin).
uint32_t cvector_crc32c(uint32_t seed, const void *data, size_t length);

/// The table version of `cvector_crc32c`: the reference of the fast path.
uint32_t cvector_crc32c_portable(uint32_t seed, const void *data, size_t length);

#endif
