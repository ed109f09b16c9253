// A scripted OpenAI-compatible server with no think time: what it streams is written in the
// request's body, `[[tokens:N]]` (8 without one), one every `[[pace:MICROSECONDS]]` where that is
// given. One thread, epoll, keep-alive.
//
//   scripted_llm PORT [TOKENS_PER_WRITE]
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 4096, BODY_MAX = 1 << 20, TOKENS_MAX = 100000 };

typedef struct {
  char *in;
  size_t in_length, in_capacity;
  int tokens_left, tokens_total;  // of the answer under way
  int has_answer, ends;
  long pace;  // microseconds between tokens, 0 for as fast as they go
  double began;
  char out[65536];
  size_t out_length, out_sent;
} Connection;

static Connection *connections[CONNECTIONS_MAX];
static int poller, tokens_per_write = 1, paced = 0;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void append_chunk(Connection *c, const char *data, size_t length) {
  c->out_length += (size_t)sprintf(c->out + c->out_length, "%zx\r\n", length);
  memcpy(c->out + c->out_length, data, length);
  c->out_length += length;
  memcpy(c->out + c->out_length, "\r\n", 2);
  c->out_length += 2;
}

static void append_event(Connection *c, const char *delta, const char *finish) {
  char event[512];
  int length = snprintf(event, sizeof event,
                        "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\","
                        "\"created\":1700000000,\"model\":\"scripted\",\"choices\":[{\"index\":0,"
                        "\"delta\":%s,\"finish_reason\":%s}]}\n\n",
                        delta, finish);
  append_chunk(c, event, (size_t)length);
}

// Fills the output buffer with the next part of the answer.
static void fill(Connection *c) {
  c->out_length = c->out_sent = 0;
  int count = 0, limit = tokens_per_write;
  if (c->pace) {
    // What is due by now: a late tick is made up for, so that the rate holds.
    long due = (long)((now() - c->began) / (double)c->pace) - (c->tokens_total - c->tokens_left);
    limit = due < 0 ? 0 : (int)due;
  }
  while (c->tokens_left > 0 && count < limit && c->out_length < 60000) {
    char delta[64];
    snprintf(delta, sizeof delta, "{\"content\":\"tok%d \"}", c->tokens_total - c->tokens_left);
    append_event(c, delta, "null");
    c->tokens_left--;
    count++;
  }
  if (c->tokens_left == 0 && !c->ends) {
    char usage[256];
    append_event(c, "{}", "\"stop\"");
    int length = snprintf(usage, sizeof usage,
                          "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\","
                          "\"choices\":[],\"usage\":{\"prompt_tokens\":11,"
                          "\"completion_tokens\":%d,\"total_tokens\":%d}}\n\n",
                          c->tokens_total, c->tokens_total + 11);
    append_chunk(c, usage, (size_t)length);
    append_chunk(c, "data: [DONE]\n\n", 14);
    memcpy(c->out + c->out_length, "0\r\n\r\n", 5);
    c->out_length += 5;
    c->ends = 1;
  }
}

static void watch(int fd, int wants_write) {
  struct epoll_event event = {.events = EPOLLIN | (wants_write ? EPOLLOUT : 0), .data.fd = fd};
  epoll_ctl(poller, EPOLL_CTL_MOD, fd, &event);
}

static void drop(int fd) {
  if (connections[fd]->has_answer && connections[fd]->pace) paced--;
  close(fd);
  free(connections[fd]->in);
  free(connections[fd]);
  connections[fd] = NULL;
}

// Sends what can be sent; false when the connection is gone.
static int pump(int fd) {
  Connection *c = connections[fd];
  for (;;) {
    if (c->out_sent == c->out_length) {
      if (!c->has_answer || c->ends) {
        if (c->has_answer && c->pace) paced--;
        c->has_answer = 0;
        watch(fd, 0);
        return 1;
      }
      fill(c);
      if (c->out_length == 0) {
        watch(fd, 0);
        return 1;  // until the next tick
      }
    }
    ssize_t sent = send(fd, c->out + c->out_sent, c->out_length - c->out_sent, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EAGAIN) {
        watch(fd, 1);
        return 1;
      }
      drop(fd);
      return 0;
    }
    c->out_sent += (size_t)sent;
  }
}

static long pace_asked(const char *body) {
  const char *at = strstr(body, "[[pace:");
  return at ? atol(at + 7) : 0;
}

static int tokens_asked(const char *body) {
  const char *last = NULL, *at = body;
  while ((at = strstr(at, "[[tokens:"))) last = at++;
  int tokens = last ? atoi(last + 9) : 8;
  return tokens < 1 ? 1 : tokens > TOKENS_MAX ? TOKENS_MAX : tokens;
}

// Begins the answer once a whole request is there; false when the connection is gone.
static int serve(int fd) {
  Connection *c = connections[fd];
  c->in[c->in_length] = 0;
  char *end = strstr(c->in, "\r\n\r\n");
  if (!end || c->has_answer) return 1;
  char *field = strcasestr(c->in, "content-length:");
  size_t length = field && field < end ? strtoul(field + 15, NULL, 10) : 0;
  size_t total = (size_t)(end - c->in) + 4 + length;
  if (length > BODY_MAX) {
    drop(fd);
    return 0;
  }
  if (c->in_length < total) return 1;
  c->tokens_left = c->tokens_total = tokens_asked(end + 4);
  c->pace = pace_asked(end + 4);
  c->began = now();
  if (c->pace) paced++;
  c->has_answer = 1;
  c->ends = 0;
  c->out_sent = 0;
  c->out_length = (size_t)sprintf(c->out,
                                  "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                                  "transfer-encoding: chunked\r\n\r\n");
  append_event(c, "{\"role\":\"assistant\",\"content\":\"\"}", "null");
  c->in_length -= total;
  memmove(c->in, c->in + total, c->in_length);
  return pump(fd);
}

static void readable(int fd) {
  Connection *c = connections[fd];
  for (;;) {
    if (c->in_capacity - c->in_length < 8192) {
      c->in_capacity = c->in_capacity ? c->in_capacity * 2 : 16384;
      c->in = realloc(c->in, c->in_capacity);
    }
    ssize_t got = recv(fd, c->in + c->in_length, c->in_capacity - c->in_length - 1, 0);
    if (got < 0 && errno == EAGAIN) break;
    if (got <= 0) {
      drop(fd);
      return;
    }
    c->in_length += (size_t)got;
    if (!serve(fd)) return;
  }
}

int main(int argc, char **argv) {
  if (argc < 2) return fprintf(stderr, "usage: scripted_llm PORT [TOKENS_PER_WRITE]\n"), 2;
  if (argc > 2) tokens_per_write = atoi(argv[2]);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)atoi(argv[1])),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 512))
    return perror("scripted_llm"), 1;
  poller = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    struct epoll_event events[256];
    int count = epoll_wait(poller, events, 256, paced ? 1 : -1);
    for (int fd = 0; paced && fd < CONNECTIONS_MAX; fd++)
      if (connections[fd] && connections[fd]->has_answer && connections[fd]->pace) pump(fd);
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (fd != listener) {
        if (connections[fd] && (events[i].events & EPOLLOUT) && !pump(fd)) continue;
        if (connections[fd] && (events[i].events & ~EPOLLOUT)) readable(fd);
        continue;
      }
      int client;
      while ((client = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (client >= CONNECTIONS_MAX) {
          close(client);
          continue;
        }
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        connections[client] = calloc(1, sizeof(Connection));
        struct epoll_event added = {.events = EPOLLIN, .data.fd = client};
        epoll_ctl(poller, EPOLL_CTL_ADD, client, &added);
      }
    }
  }
}
