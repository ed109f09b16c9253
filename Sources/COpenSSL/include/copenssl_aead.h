// AES-256-GCM over memory, in pieces, in place or not. One thread at a time per context.
#ifndef KFM_COPENSSL_AEAD_H
#define KFM_COPENSSL_AEAD_H

#include <stddef.h>
#include <stdint.h>

typedef struct kfm_aead kfm_aead;

/// NULL when libcrypto has no such cipher or no memory.
kfm_aead *kfm_aead_new(const uint8_t key[32]);
void kfm_aead_free(kfm_aead *aead);

/// Begins a message under a nonce that is used once; `sealing` or opening. Then what is only
/// authenticated, then what is enciphered or deciphered, then the end. Each returns 1, or 0 when it
/// failed.
int kfm_aead_begin(kfm_aead *aead, int sealing, const uint8_t nonce[12]);
int kfm_aead_cover(kfm_aead *aead, const void *bytes, size_t count);
int kfm_aead_update(kfm_aead *aead, const void *bytes, size_t count, void *out);
int kfm_aead_seal(kfm_aead *aead, uint8_t tag[16]);
/// 1 only when all of it is what was sealed.
int kfm_aead_open(kfm_aead *aead, const uint8_t tag[16]);

/// Bytes nobody can foresee. Returns 1, or 0 when there are none.
int kfm_aead_random(void *bytes, size_t count);

#endif
