// The floor: the least a process between client and model can do. It takes a turn, sends a chat
// request, and passes the model's bytes on as they come. No log, no history, no checks.
// One thread, epoll; one connection to the model for each client connection.
//
//   relay PORT LLM_PORT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 4096, REQUEST_MAX = 1 << 20 };

typedef struct {
  int peer;
  int is_client;
  char *in;
  size_t length;
} Side;

static Side *sides[CONNECTIONS_MAX];
static int poller;
static struct sockaddr_in model;

static void send_all(int fd, const char *data, size_t length) {
  while (length > 0) {
    ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno != EAGAIN) return;
      usleep(50);
      continue;
    }
    data += sent;
    length -= (size_t)sent;
  }
}

static void add(int fd, int peer, int is_client) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  sides[fd] = calloc(1, sizeof(Side));
  sides[fd]->peer = peer;
  sides[fd]->is_client = is_client;
  if (is_client) sides[fd]->in = malloc(REQUEST_MAX + 1);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}

static void drop(int fd) {
  int peer = sides[fd]->peer;
  for (int i = 0; i < 2; i++) {
    int one = i ? peer : fd;
    close(one);
    free(sides[one]->in);
    free(sides[one]);
    sides[one] = NULL;
  }
}

static void forward_request(int fd) {
  Side *side = sides[fd];
  side->in[side->length] = 0;
  char *end = strstr(side->in, "\r\n\r\n");
  if (!end) return;
  char *field = strcasestr(side->in, "content-length:");
  size_t length = field ? strtoul(field + 15, NULL, 10) : 0;
  size_t total = (size_t)(end - side->in) + 4 + length;
  if (side->length < total) return;
  char *message = strstr(end, "\"user_message\":");
  if (!message) return;
  message += 15;
  char *stop = strchr(message + 1, '"');
  char body[4096], head[512];
  int body_length = snprintf(body, sizeof body,
                             "{\"model\":\"scripted\",\"stream\":true,\"messages\":[{\"role\":"
                             "\"user\",\"content\":%.*s}]}",
                             (int)(stop + 1 - message), message);
  int head_length = snprintf(head, sizeof head,
                             "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
                             "content-type: application/json\r\ncontent-length: %d\r\n\r\n",
                             body_length);
  send_all(side->peer, head, (size_t)head_length);
  send_all(side->peer, body, (size_t)body_length);
  side->length -= total;
  memmove(side->in, side->in + total, side->length);
}

static void readable(int fd) {
  static char buffer[65536];
  Side *side = sides[fd];
  for (;;) {
    char *into = side->is_client ? side->in + side->length : buffer;
    size_t room = side->is_client ? REQUEST_MAX - side->length : sizeof buffer;
    ssize_t got = recv(fd, into, room, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      drop(fd);
      return;
    }
    if (side->is_client) {
      side->length += (size_t)got;
      forward_request(fd);
    } else {
      send_all(side->peer, buffer, (size_t)got);
    }
  }
}

int main(int argc, char **argv) {
  if (argc < 3) return fprintf(stderr, "usage: relay PORT LLM_PORT\n"), 2;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)atoi(argv[1])),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  model = address;
  model.sin_port = htons((uint16_t)atoi(argv[2]));
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 512))
    return perror("relay"), 1;
  poller = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    struct epoll_event events[256];
    int count = epoll_wait(poller, events, 256, -1);
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (fd != listener) {
        if (sides[fd]) readable(fd);
        continue;
      }
      int client;
      while ((client = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        int peer = socket(AF_INET, SOCK_STREAM, 0);
        if (client >= CONNECTIONS_MAX || peer >= CONNECTIONS_MAX ||
            connect(peer, (struct sockaddr *)&model, sizeof model)) {
          close(client);
          close(peer);
          continue;
        }
        add(client, peer, 1);
        add(peer, client, 0);
        // The connect above may block; reads and writes from now on may not.
        fcntl(peer, F_SETFL, O_NONBLOCK);
      }
    }
  }
}
