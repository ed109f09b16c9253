#define CURL_DISABLE_TYPECHECK 1
#include "ccurl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

// Each function of libcurl that is used, under its name without `curl_`.
#define KFM_CURL_FUNCTIONS(X)                                                                    \
  X(global_init) X(version) X(multi_init) X(multi_cleanup) X(multi_setopt) X(multi_add_handle)   \
  X(multi_remove_handle) X(multi_socket_action) X(multi_info_read) X(easy_init) X(easy_reset)    \
  X(easy_cleanup) X(easy_setopt) X(easy_getinfo) X(easy_strerror) X(slist_append)                \
  X(slist_free_all)

static struct {
#define X(name) __typeof__(&curl_##name) name;
  KFM_CURL_FUNCTIONS(X)
#undef X
} api;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char failure[256];
static int is_loaded;

static void load(void) {
  void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    snprintf(failure, sizeof failure, "%s", dlerror());
    return;
  }
#define X(name)                                                                                  \
  api.name = (__typeof__(api.name))dlsym(library, "curl_" #name);                                \
  if (!api.name) {                                                                               \
    snprintf(failure, sizeof failure, "libcurl has no curl_" #name);                             \
    return;                                                                                      \
  }
  KFM_CURL_FUNCTIONS(X)
#undef X
  CURLcode code = api.global_init(CURL_GLOBAL_DEFAULT);
  if (code != CURLE_OK) {
    snprintf(failure, sizeof failure, "curl_global_init failed: %d", (int)code);
    return;
  }
  is_loaded = 1;
}

const char *kfm_curl_load(void) {
  pthread_once(&once, load);
  return is_loaded ? NULL : failure;
}

const char *kfm_curl_version(void) {
  const char *problem = kfm_curl_load();
  return problem ? problem : api.version();
}

CURLM *kfm_curl_multi_new(void *context, kfm_curl_on_socket on_socket, kfm_curl_on_timer on_timer,
                          long connections_max) {
  CURLM *multi = api.multi_init();
  if (!multi) return NULL;
  api.multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  api.multi_setopt(multi, CURLMOPT_SOCKETDATA, context);
  api.multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
  api.multi_setopt(multi, CURLMOPT_TIMERDATA, context);
  api.multi_setopt(multi, CURLMOPT_MAXCONNECTS, connections_max);
  api.multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
  return multi;
}

void kfm_curl_multi_free(CURLM *multi) { api.multi_cleanup(multi); }

CURLMcode kfm_curl_multi_add(CURLM *multi, CURL *easy) { return api.multi_add_handle(multi, easy); }

CURLMcode kfm_curl_multi_remove(CURLM *multi, CURL *easy) {
  return api.multi_remove_handle(multi, easy);
}

CURLMcode kfm_curl_multi_act(CURLM *multi, curl_socket_t socket, int events, int *running) {
  return api.multi_socket_action(multi, socket, events, running);
}

CURL *kfm_curl_multi_finished(CURLM *multi, CURLcode *result, void **context) {
  int left;
  CURLMsg *message;
  while ((message = api.multi_info_read(multi, &left))) {
    if (message->msg != CURLMSG_DONE) continue;
    *result = message->data.result;
    char *private_pointer = NULL;
    api.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private_pointer);
    *context = private_pointer;
    return message->easy_handle;
  }
  return NULL;
}

CURL *kfm_curl_easy_new(void) { return api.easy_init(); }
void kfm_curl_easy_reset(CURL *easy) { api.easy_reset(easy); }
void kfm_curl_easy_free(CURL *easy) { api.easy_cleanup(easy); }
const char *kfm_curl_error(CURLcode code) { return api.easy_strerror(code); }

struct curl_slist *kfm_curl_list_append(struct curl_slist *list, const char *line) {
  return api.slist_append(list, line);
}

void kfm_curl_list_free(struct curl_slist *list) { api.slist_free_all(list); }

// Stops at the first option that is refused: `code` holds why.
#define SET(option, value)                                                                       \
  do {                                                                                           \
    CURLcode code = api.easy_setopt(easy, option, value);                                        \
    if (code != CURLE_OK) return code;                                                           \
  } while (0)

static CURLcode set_policy(CURL *easy) {
  SET(CURLOPT_NOSIGNAL, 1L);
  SET(CURLOPT_PROXY, "");
  SET(CURLOPT_FOLLOWLOCATION, 0L);
  SET(CURLOPT_PROTOCOLS_STR, "http,https");
  SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  SET(CURLOPT_HTTP09_ALLOWED, 0L);
  SET(CURLOPT_TCP_NODELAY, 1L);
  SET(CURLOPT_TCP_KEEPALIVE, 1L);
  SET(CURLOPT_NOPROGRESS, 1L);
  // 0 means curl's own 300 s: the caller's timers are stricter and say which one it was.
  SET(CURLOPT_CONNECTTIMEOUT_MS, 0L);
  return CURLE_OK;
}

static CURLcode set_body(CURL *easy, const struct kfm_curl_request *request) {
  if (request->is_head) {
    SET(CURLOPT_NOBODY, 1L);
  } else if (request->body) {
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_bytes);
    SET(CURLOPT_COPYPOSTFIELDS, request->body);
  } else {
    SET(CURLOPT_HTTPGET, 1L);
  }
  SET(CURLOPT_CUSTOMREQUEST, request->method);
  return CURLE_OK;
}

CURLcode kfm_curl_easy_prepare(CURL *easy, const struct kfm_curl_request *request) {
  CURLcode code = set_policy(easy);
  if (code != CURLE_OK) return code;
  SET(CURLOPT_ERRORBUFFER, request->error);
  SET(CURLOPT_URL, request->url);
  if (request->unix_socket) SET(CURLOPT_UNIX_SOCKET_PATH, request->unix_socket);
  if (request->certificate_file) SET(CURLOPT_CAINFO, request->certificate_file);
  SET(CURLOPT_HTTPHEADER, request->fields);
  SET(CURLOPT_PRIVATE, request->context);
  SET(CURLOPT_HEADERFUNCTION, request->on_header);
  SET(CURLOPT_HEADERDATA, request->context);
  SET(CURLOPT_WRITEFUNCTION, request->on_body);
  SET(CURLOPT_WRITEDATA, request->context);
  SET(CURLOPT_PREREQFUNCTION, request->on_connected);
  SET(CURLOPT_PREREQDATA, request->context);
  return set_body(easy, request);
}
