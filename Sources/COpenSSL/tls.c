#include "copenssl_tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct buffer {
  unsigned char *bytes;
  size_t offset, count, capacity;
};

struct kfm_tls_context {
  SSL_CTX *context;
  int is_server;
  unsigned char protocols[256];
  unsigned protocol_bytes;
  BIO_METHOD *method;
  // What the session in use has for its peer.
  struct buffer out;
};

struct kfm_tls {
  SSL *ssl;
  kfm_tls_context *context;
  // Lent by the caller; comes after what is kept.
  const unsigned char *in;
  size_t in_count;
  struct buffer kept;
};

static int append(struct buffer *to, const void *bytes, size_t count) {
  if (to->offset + to->count + count > to->capacity) {
    size_t capacity = to->capacity ? to->capacity : 4096;
    while (to->count + count > capacity) capacity *= 2;
    unsigned char *larger = malloc(capacity);
    if (!larger) return 0;
    if (to->count > 0) memcpy(larger, to->bytes + to->offset, to->count);
    free(to->bytes);
    *to = (struct buffer){larger, 0, to->count, capacity};
  }
  memcpy(to->bytes + to->offset + to->count, bytes, count);
  to->count += count;
  return 1;
}

// The session reads from what the caller lent and writes into the context's buffer. OpenSSL's own
// memory BIO copies both ways once more, and clears its memory at each reset.
static int bio_read(BIO *bio, char *to, size_t size, size_t *count) {
  kfm_tls *tls = BIO_get_data(bio);
  struct buffer *kept = &tls->kept;
  BIO_clear_retry_flags(bio);
  if (kept->count > 0) {
    *count = size < kept->count ? size : kept->count;
    memcpy(to, kept->bytes + kept->offset, *count);
    kept->offset += *count;
    kept->count -= *count;
    if (kept->count == 0) {
      free(kept->bytes);
      *kept = (struct buffer){0};
    }
    return 1;
  }
  if (tls->in_count > 0) {
    *count = size < tls->in_count ? size : tls->in_count;
    memcpy(to, tls->in, *count);
    tls->in += *count;
    tls->in_count -= *count;
    return 1;
  }
  BIO_set_retry_read(bio);
  *count = 0;
  return 0;
}

static int bio_write(BIO *bio, const char *bytes, size_t size, size_t *count) {
  kfm_tls *tls = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  *count = append(&tls->context->out, bytes, size) ? size : 0;
  return *count == size;
}

static long bio_control(BIO *bio, int command, long number, void *pointer) {
  (void)bio, (void)number, (void)pointer;
  return command == BIO_CTRL_FLUSH;
}

// What OpenSSL has to say about the last failure on this thread.
static void last_error(char *text, size_t size) {
  unsigned long code = ERR_get_error();
  const char *reason = code ? ERR_reason_error_string(code) : NULL;
  snprintf(text, size, "%s", reason ? reason : "no reason given");
  ERR_clear_error();
}

static kfm_tls_context *make(const SSL_METHOD *method, int is_server) {
  kfm_tls_context *made = calloc(1, sizeof *made);
  SSL_CTX *context = SSL_CTX_new(method);
  BIO_METHOD *bio = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "kfm");
  if (!made || !context || !bio) {
    free(made);
    SSL_CTX_free(context);
    BIO_meth_free(bio);
    return NULL;
  }
  BIO_meth_set_read_ex(bio, bio_read);
  BIO_meth_set_write_ex(bio, bio_write);
  BIO_meth_set_ctrl(bio, bio_control);
  made->method = bio;
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // An idle session keeps no record buffers.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  made->context = context;
  made->is_server = is_server;
  return made;
}

static kfm_tls_context *refuse(kfm_tls_context *made, enum kfm_tls_step at,
                               enum kfm_tls_step *step, char *text, size_t size) {
  *step = at;
  last_error(text, size);
  kfm_tls_context_free(made);
  return NULL;
}

kfm_tls_context *kfm_tls_server_context(const char *certificate, const char *key,
                                        enum kfm_tls_step *step, char *text, size_t size) {
  ERR_clear_error();
  kfm_tls_context *made = make(TLS_server_method(), 1);
  if (!made) return refuse(made, KFM_TLS_STEP_OTHER, step, text, size);
  if (SSL_CTX_use_certificate_chain_file(made->context, certificate) != 1)
    return refuse(made, KFM_TLS_STEP_CERTIFICATE, step, text, size);
  if (SSL_CTX_use_PrivateKey_file(made->context, key, SSL_FILETYPE_PEM) != 1) {
    unsigned long code = ERR_peek_error();
    int differs = ERR_GET_LIB(code) == ERR_LIB_X509 &&
                  (ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH ||
                   ERR_GET_REASON(code) == X509_R_KEY_TYPE_MISMATCH);
    return refuse(made, differs ? KFM_TLS_STEP_MATCH : KFM_TLS_STEP_KEY, step, text, size);
  }
  if (SSL_CTX_check_private_key(made->context) != 1)
    return refuse(made, KFM_TLS_STEP_MATCH, step, text, size);
  return made;
}

kfm_tls_context *kfm_tls_client_context(const char *trust, enum kfm_tls_step *step, char *text,
                                        size_t size) {
  ERR_clear_error();
  kfm_tls_context *made = make(TLS_client_method(), 0);
  if (!made) return refuse(made, KFM_TLS_STEP_OTHER, step, text, size);
  int ok = trust ? SSL_CTX_load_verify_file(made->context, trust)
                 : SSL_CTX_set_default_verify_paths(made->context);
  if (ok != 1) return refuse(made, KFM_TLS_STEP_TRUST, step, text, size);
  SSL_CTX_set_verify(made->context, SSL_VERIFY_PEER, NULL);
  return made;
}

void kfm_tls_context_free(kfm_tls_context *context) {
  if (!context) return;
  SSL_CTX_free(context->context);
  BIO_meth_free(context->method);
  free(context->out.bytes);
  free(context);
}

// The first of ours that the client offers; without one the handshake goes on without a protocol.
static int choose(SSL *ssl, const unsigned char **out, unsigned char *count,
                  const unsigned char *offered, unsigned offered_bytes, void *argument) {
  (void)ssl;
  kfm_tls_context *context = argument;
  unsigned char *chosen;
  if (SSL_select_next_proto(&chosen, count, context->protocols, context->protocol_bytes, offered,
                            offered_bytes) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

int kfm_tls_context_protocols(kfm_tls_context *context, const unsigned char *list, size_t count) {
  if (count == 0 || count > 255) return 0;
  memcpy(context->protocols, list, count);
  context->protocol_bytes = count;
  if (!context->is_server) return SSL_CTX_set_alpn_protos(context->context, list, count) == 0;
  SSL_CTX_set_alpn_select_cb(context->context, choose, context);
  return 1;
}

static int expect(SSL *ssl, const char *host) {
  unsigned char address[16];
  if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
  SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return SSL_set_tlsext_host_name(ssl, host) && SSL_set1_host(ssl, host);
}

kfm_tls *kfm_tls_open(kfm_tls_context *context, const char *host) {
  ERR_clear_error();
  kfm_tls *tls = calloc(1, sizeof *tls);
  SSL *ssl = SSL_new(context->context);
  BIO *bio = BIO_new(context->method);
  if (!tls || !ssl || !bio || (host && !expect(ssl, host))) {
    free(tls);
    SSL_free(ssl);
    BIO_free(bio);
    return NULL;
  }
  tls->ssl = ssl;
  tls->context = context;
  BIO_set_data(bio, tls);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
  if (context->is_server) SSL_set_accept_state(ssl);
  else SSL_set_connect_state(ssl);
  return tls;
}

void kfm_tls_free(kfm_tls *tls) {
  if (!tls) return;
  SSL_free(tls->ssl);
  free(tls->kept.bytes);
  free(tls);
}

int kfm_tls_put(kfm_tls *tls, const void *bytes, size_t count) {
  if (!kfm_tls_keep(tls)) return 0;
  tls->in = bytes;
  tls->in_count = count;
  return 1;
}

int kfm_tls_keep(kfm_tls *tls) {
  int ok = tls->in_count == 0 || append(&tls->kept, tls->in, tls->in_count);
  tls->in_count = 0;
  return ok;
}

static int meaning(kfm_tls *tls, int result) {
  switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return KFM_TLS_WANTS_MORE;
    case SSL_ERROR_ZERO_RETURN: return KFM_TLS_ENDED;
    default: return KFM_TLS_FAILED;
  }
}

int kfm_tls_handshake(kfm_tls *tls) {
  ERR_clear_error();
  int result = SSL_do_handshake(tls->ssl);
  return result == 1 ? 1 : meaning(tls, result);
}

long kfm_tls_read(kfm_tls *tls, void *bytes, size_t size) {
  ERR_clear_error();
  size_t filled = 0, part;
  // One call gives one record at most.
  while (filled < size && SSL_read_ex(tls->ssl, (char *)bytes + filled, size - filled, &part) == 1)
    filled += part;
  return filled > 0 ? (long)filled : meaning(tls, 0);
}

int kfm_tls_write(kfm_tls *tls, const void *bytes, size_t count) {
  ERR_clear_error();
  size_t written;
  return SSL_write_ex(tls->ssl, bytes, count, &written) == 1 ? 1 : KFM_TLS_FAILED;
}

void kfm_tls_end(kfm_tls *tls) {
  ERR_clear_error();
  SSL_shutdown(tls->ssl);
  ERR_clear_error();
}

const void *kfm_tls_output(kfm_tls *tls, size_t *count) {
  struct buffer *out = &tls->context->out;
  *count = out->count;
  out->count = 0;
  return *count > 0 ? out->bytes : NULL;
}

void kfm_tls_failure(kfm_tls *tls, int *is_certificate, char *text, size_t size) {
  long verified = SSL_get_verify_result(tls->ssl);
  *is_certificate = verified != X509_V_OK;
  if (*is_certificate) {
    snprintf(text, size, "%s", X509_verify_cert_error_string(verified));
    ERR_clear_error();
  } else {
    last_error(text, size);
  }
}

const unsigned char *kfm_tls_protocol(kfm_tls *tls, unsigned *count) {
  const unsigned char *name = NULL;
  SSL_get0_alpn_selected(tls->ssl, &name, count);
  return name;
}

const char *kfm_tls_version(kfm_tls *tls) { return SSL_get_version(tls->ssl); }
