// System calls and macros of Linux that Swift's Glibc module does not carry.
#ifndef KFM_CLINUX_H
#define KFM_CLINUX_H

#include <stddef.h>
#include <stdint.h>

/// CRC-32C (Castagnoli) of `length` bytes, continuing from `seed` (0 to begin).
/// Uses SSE4.2 where the processor has it, a table elsewhere; both give the same value.
uint32_t kfm_crc32c(uint32_t seed, const void *data, size_t length);

/// The CRC-32C of two runs of bytes one after the other, from that of each; `length` is that of the
/// second.
uint32_t kfm_crc32c_combine(uint32_t first, uint32_t second, size_t length);

/// The table version of `kfm_crc32c`: the reference its fast path is tested against.
uint32_t kfm_crc32c_portable(uint32_t seed, const void *data, size_t length);

/// Fills `length` (at most 256) bytes from the kernel's generator. Returns 1, or 0 on failure.
int kfm_random(void *out, size_t length);

#endif
