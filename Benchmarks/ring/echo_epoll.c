// The floor on epoll: level-triggered, all connections read into one hot buffer and are answered
// from it at once; only what the kernel does not take is kept.
//
//   echo_epoll PORT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 16384, BUFFER_BYTES = 262144, EVENTS = 256 };

struct connection {
  char *rest;
  size_t offset, count;
};

static struct connection connections[CONNECTIONS_MAX];
static char buffer[BUFFER_BYTES];
static int poller;

static void watch(int fd, int operation, unsigned events) {
  struct epoll_event event = {.events = events, .data.fd = fd};
  epoll_ctl(poller, operation, fd, &event);
}

static void end(int fd) {
  free(connections[fd].rest);
  connections[fd] = (struct connection){0};
  close(fd);
}

static void readable(int fd) {
  ssize_t count = recv(fd, buffer, BUFFER_BYTES, MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) return end(fd);
  ssize_t sent = send(fd, buffer, count, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) return end(fd);
  if (sent < 0) sent = 0;
  if (sent == count) return;
  struct connection *c = &connections[fd];
  c->rest = malloc(count - sent);
  memcpy(c->rest, buffer + sent, count - sent);
  c->offset = 0;
  c->count = count - sent;
  watch(fd, EPOLL_CTL_MOD, EPOLLOUT);
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
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
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
        if (next >= 0) watch(next, EPOLL_CTL_ADD, EPOLLIN);
      } else if (events[i].events & EPOLLOUT) {
        writable(fd);
      } else {
        readable(fd);
      }
    }
  }
}
