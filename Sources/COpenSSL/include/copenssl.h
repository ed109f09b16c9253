// The doors to OpenSSL that the project uses: digests now, memory BIOs when TLS comes in.
#ifndef KFM_COPENSSL_H
#define KFM_COPENSSL_H

#include <stddef.h>
#include <stdint.h>

/// SHA-256 of `length` bytes into `out[32]`. Returns 1, or 0 when libcrypto refused.
int kfm_sha256(const void *data, size_t length, uint8_t out[32]);

/// The version string of the linked libcrypto.
const char *kfm_openssl_version(void);

#endif
