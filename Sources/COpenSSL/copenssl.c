#include "copenssl.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

int kfm_sha256(const void *data, size_t length, uint8_t out[32]) {
  unsigned int size = 32;
  return EVP_Digest(data, length, out, &size, EVP_sha256(), NULL) == 1 && size == 32;
}

const char *kfm_openssl_version(void) { return OpenSSL_version(OPENSSL_VERSION); }
