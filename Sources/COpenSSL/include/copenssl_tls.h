// TLS over memory: bytes from the peer are put in, bytes for the peer are taken out, and nothing here
// knows of sockets. One thread at a time per context and its sessions.
#ifndef KFM_COPENSSL_TLS_H
#define KFM_COPENSSL_TLS_H

#include <stddef.h>

typedef struct kfm_tls_context kfm_tls_context;
typedef struct kfm_tls kfm_tls;

/// What a call that gives no bytes means.
enum {
  /// The peer has to send more first.
  KFM_TLS_WANTS_MORE = 0,
  /// The peer has ended its side properly (close_notify).
  KFM_TLS_ENDED = -1,
  /// The session is broken; see kfm_tls_failure. An alert for the peer may be there to be taken.
  KFM_TLS_FAILED = -2,
};

/// The step of making a context that failed.
enum kfm_tls_step {
  KFM_TLS_STEP_NONE,
  KFM_TLS_STEP_CERTIFICATE,
  KFM_TLS_STEP_KEY,
  KFM_TLS_STEP_MATCH,
  KFM_TLS_STEP_TRUST,
  KFM_TLS_STEP_OTHER,
};

/// For servers: TLS 1.2 and 1.3 with a PEM chain and its key. NULL with the failed step and
/// OpenSSL's words in `text`.
kfm_tls_context *kfm_tls_server_context(const char *certificate, const char *key,
                                        enum kfm_tls_step *step, char *text, size_t size);

/// For clients: the peer's certificate is checked against the PEM file `trust`, or against the
/// system's roots where it is NULL.
kfm_tls_context *kfm_tls_client_context(const char *trust, enum kfm_tls_step *step, char *text,
                                        size_t size);

void kfm_tls_context_free(kfm_tls_context *context);

/// Application protocols (ALPN) in the order of preference, each with its length in a byte before
/// it, at most 255 bytes together. Returns 1 or 0.
int kfm_tls_context_protocols(kfm_tls_context *context, const unsigned char *list, size_t count);

/// A session. For a client `host` is the name or the address that the certificate must be for.
kfm_tls *kfm_tls_open(kfm_tls_context *context, const char *host);
void kfm_tls_free(kfm_tls *tls);

/// Bytes from the peer, which must stay valid until `kfm_tls_keep`. Returns 1, or 0 when memory ran
/// out.
int kfm_tls_put(kfm_tls *tls, const void *bytes, size_t count);

/// Copies those of the bytes put in that have not been used. Returns 1, or 0 when memory ran out.
int kfm_tls_keep(kfm_tls *tls);

/// Goes on with the handshake: 1 when it is done, otherwise one of the meanings above.
int kfm_tls_handshake(kfm_tls *tls);

/// Deciphered bytes, up to `size`; otherwise one of the meanings above.
long kfm_tls_read(kfm_tls *tls, void *bytes, size_t size);

/// Enciphers all of `bytes`, not empty. Returns 1 or KFM_TLS_FAILED.
int kfm_tls_write(kfm_tls *tls, const void *bytes, size_t count);

/// Says that nothing more will be written (close_notify).
void kfm_tls_end(kfm_tls *tls);

/// Bytes for the peer; NULL when there are none. To be taken before any other call with a session of
/// the same context: they share the memory.
const void *kfm_tls_output(kfm_tls *tls, size_t *count);

/// Why the session failed, in OpenSSL's words. `is_certificate`: the peer's certificate was refused.
void kfm_tls_failure(kfm_tls *tls, int *is_certificate, char *text, size_t size);

/// The chosen application protocol, `*count` bytes; NULL when there is none.
const unsigned char *kfm_tls_protocol(kfm_tls *tls, unsigned *count);

/// `TLSv1.3`.
const char *kfm_tls_version(kfm_tls *tls);

#endif
