// The floor for TLS: an echo server on OpenSSL with memory BIOs and level-triggered epoll. One hot
// buffer for what comes, one for what goes; only what the kernel does not take is kept.
//
//   echo_tls PORT CERTIFICATE KEY
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 16384, BUFFER_BYTES = 131072, EVENTS = 256 };

struct connection {
  SSL *ssl;
  BIO *in, *out;
  char *rest;
  size_t offset, count;
};

static struct connection connections[CONNECTIONS_MAX];
static char incoming[BUFFER_BYTES], plain[BUFFER_BYTES], outgoing[BUFFER_BYTES];
static int poller;
static SSL_CTX *context;

static void watch(int fd, int operation, unsigned events) {
  struct epoll_event event = {.events = events, .data.fd = fd};
  epoll_ctl(poller, operation, fd, &event);
}

static void end(int fd) {
  SSL_free(connections[fd].ssl);
  free(connections[fd].rest);
  connections[fd] = (struct connection){0};
  close(fd);
}

static void open_connection(int fd) {
  struct connection *c = &connections[fd];
  c->ssl = SSL_new(context);
  c->in = BIO_new(BIO_s_mem());
  c->out = BIO_new(BIO_s_mem());
  SSL_set_bio(c->ssl, c->in, c->out);
  SSL_set_accept_state(c->ssl);
  watch(fd, EPOLL_CTL_ADD, EPOLLIN);
}

// Sends what the output BIO holds; false when the connection is gone.
static int flush_output(int fd) {
  struct connection *c = &connections[fd];
  int count;
  while (!c->rest && (count = BIO_read(c->out, outgoing, BUFFER_BYTES)) > 0) {
    ssize_t sent = send(fd, outgoing, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return 0;
    if (sent < 0) sent = 0;
    if (sent == count) continue;
    c->rest = malloc(count - sent);
    memcpy(c->rest, outgoing + sent, count - sent);
    c->offset = 0;
    c->count = count - sent;
    watch(fd, EPOLL_CTL_MOD, EPOLLOUT);
  }
  return 1;
}

static void readable(int fd) {
  struct connection *c = &connections[fd];
  ssize_t count = recv(fd, incoming, BUFFER_BYTES, MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) return end(fd);
  BIO_write(c->in, incoming, count);
  size_t got = 0, written;
  do {
    got = 0;
    size_t part;
    while (got < BUFFER_BYTES && SSL_read_ex(c->ssl, plain + got, BUFFER_BYTES - got, &part))
      got += part;
    if (got < BUFFER_BYTES) {
      int error = SSL_get_error(c->ssl, 0);
      if (error != SSL_ERROR_WANT_READ) return end(fd);
    }
    if (got > 0 && !SSL_write_ex(c->ssl, plain, got, &written)) return end(fd);
  } while (got == BUFFER_BYTES);
  if (!flush_output(fd)) end(fd);
}

static void writable(int fd) {
  struct connection *c = &connections[fd];
  ssize_t sent = send(fd, c->rest + c->offset, c->count - c->offset, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0 && errno == EAGAIN) return;
  if (sent < 0) return end(fd);
  c->offset += sent;
  if (c->offset < c->count) return;
  free(c->rest);
  c->rest = NULL;
  watch(fd, EPOLL_CTL_MOD, EPOLLIN);
  if (!flush_output(fd)) end(fd);
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  if (SSL_CTX_use_certificate_chain_file(context, argv[2]) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, argv[3], SSL_FILETYPE_PEM) != 1) {
    ERR_print_errors_fp(stderr);
    return 1;
  }
  int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(listener, (void *)&address, sizeof address) || listen(listener, 1024)) {
    perror("listen");
    return 1;
  }
  poller = epoll_create1(0);
  watch(listener, EPOLL_CTL_ADD, EPOLLIN);
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(poller, events, EVENTS, -1);
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        int next = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (next >= 0) open_connection(next);
      } else if (events[i].events & EPOLLOUT) {
        writable(fd);
      } else {
        readable(fd);
      }
    }
  }
}
