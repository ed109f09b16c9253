#include "copenssl_aead.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

struct kfm_aead {
  EVP_CIPHER_CTX *context;
  uint8_t key[32];
  int sealing;
};

kfm_aead *kfm_aead_new(const uint8_t key[32]) {
  kfm_aead *aead = calloc(1, sizeof *aead);
  if (aead == NULL) return NULL;
  memcpy(aead->key, key, sizeof aead->key);
  aead->context = EVP_CIPHER_CTX_new();
  if (aead->context == NULL ||
      EVP_CipherInit_ex(aead->context, EVP_aes_256_gcm(), NULL, NULL, NULL, 1) != 1) {
    kfm_aead_free(aead);
    return NULL;
  }
  return aead;
}

void kfm_aead_free(kfm_aead *aead) {
  if (aead == NULL) return;
  EVP_CIPHER_CTX_free(aead->context);
  OPENSSL_cleanse(aead->key, sizeof aead->key);
  free(aead);
}

int kfm_aead_begin(kfm_aead *aead, int sealing, const uint8_t nonce[12]) {
  aead->sealing = sealing;
  return EVP_CipherInit_ex(aead->context, NULL, NULL, aead->key, nonce, sealing) == 1;
}

static int update(kfm_aead *aead, const uint8_t *bytes, size_t count, uint8_t *out) {
  while (count > 0) {
    int part = count > INT_MAX / 2 ? INT_MAX / 2 : (int)count;
    int done = 0;
    if (EVP_CipherUpdate(aead->context, out, &done, bytes, part) != 1) return 0;
    bytes += part;
    if (out != NULL) out += part;
    count -= (size_t)part;
  }
  return 1;
}

int kfm_aead_cover(kfm_aead *aead, const void *bytes, size_t count) {
  return update(aead, bytes, count, NULL);
}

int kfm_aead_update(kfm_aead *aead, const void *bytes, size_t count, void *out) {
  return update(aead, bytes, count, out);
}

int kfm_aead_seal(kfm_aead *aead, uint8_t tag[16]) {
  uint8_t none[16];
  int done = 0;
  return EVP_CipherFinal_ex(aead->context, none, &done) == 1 &&
         EVP_CIPHER_CTX_ctrl(aead->context, EVP_CTRL_GCM_GET_TAG, 16, tag) == 1;
}

int kfm_aead_open(kfm_aead *aead, const uint8_t tag[16]) {
  uint8_t copy[16], none[16];
  int done = 0;
  memcpy(copy, tag, sizeof copy);
  return EVP_CIPHER_CTX_ctrl(aead->context, EVP_CTRL_GCM_SET_TAG, 16, copy) == 1 &&
         EVP_CipherFinal_ex(aead->context, none, &done) == 1;
}

int kfm_aead_random(void *bytes, size_t count) {
  return count <= INT_MAX && RAND_bytes(bytes, (int)count) == 1;
}
