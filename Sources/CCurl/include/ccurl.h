// libcurl for Swift: loaded when first used, since it brings 25 shared libraries into the process
// (some 5 ms and 4 MB) and many nodes never need it; variadic functions by type.
#ifndef KFM_CCURL_H
#define KFM_CCURL_H

#include <stddef.h>
#include <sys/select.h>

#include <curl/curl.h>

// Loads and initialises libcurl, once. Returns NULL, or what went wrong. From any thread.
const char *kfm_curl_load(void);

// `libcurl/7.88.1 OpenSSL/3.0.11 …`; loads it.
const char *kfm_curl_version(void);

typedef int (*kfm_curl_on_socket)(CURL *easy, curl_socket_t socket, int what, void *context,
                                  void *socket_context);
typedef int (*kfm_curl_on_timer)(CURLM *multi, long milliseconds, void *context);
typedef size_t (*kfm_curl_on_bytes)(char *bytes, size_t size, size_t count, void *context);
typedef int (*kfm_curl_on_connected)(void *context, char *remote, char *local, int remote_port,
                                     int local_port);

// All of these need a successful kfm_curl_load.
CURLM *kfm_curl_multi_new(void *context, kfm_curl_on_socket on_socket, kfm_curl_on_timer on_timer,
                          long connections_max);
void kfm_curl_multi_free(CURLM *multi);
CURLMcode kfm_curl_multi_add(CURLM *multi, CURL *easy);
CURLMcode kfm_curl_multi_remove(CURLM *multi, CURL *easy);
CURLMcode kfm_curl_multi_act(CURLM *multi, curl_socket_t socket, int events, int *running);

// The next finished transfer, or NULL: its result, and the context it was prepared with.
CURL *kfm_curl_multi_finished(CURLM *multi, CURLcode *result, void **context);

CURL *kfm_curl_easy_new(void);
void kfm_curl_easy_reset(CURL *easy);
void kfm_curl_easy_free(CURL *easy);
const char *kfm_curl_error(CURLcode code);

struct curl_slist *kfm_curl_list_append(struct curl_slist *list, const char *line);
void kfm_curl_list_free(struct curl_slist *list);

struct kfm_curl_request {
  const char *url;
  const char *method;
  const char *unix_socket;      // or NULL
  const char *certificate_file; // or NULL for the system's
  struct curl_slist *fields; // must live until the transfer ends
  const void *body;          // copied; NULL sends none
  size_t body_bytes;
  int is_head;
  void *context; // of the three callbacks below
  kfm_curl_on_bytes on_header;
  kfm_curl_on_bytes on_body;
  kfm_curl_on_connected on_connected; // before the request is sent, also on a reused connection
  char *error; // CURL_ERROR_SIZE bytes; must live until the transfer ends
};

// Sets everything a transfer needs. HTTP/1.1 only, no redirects, no proxy, no signals.
CURLcode kfm_curl_easy_prepare(CURL *easy, const struct kfm_curl_request *request);

#endif
