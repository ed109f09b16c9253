// Sends streamed requests over keep-alive connections, closed loop, and times each from its first
// byte out to its last event in. Prints one line of JSON.
//
//   drive PORT PATH CLIENTS REQUESTS TOKENS MARKER BODY
//
// BODY may hold %d, replaced by the client's number (a session of its own each); MARKER is the text
// that only the last event of an answer has.
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

enum { CLIENTS_MAX = 1024, WINDOW = 128 << 10 };

typedef struct {
  int fd;
  double began;
  int marked;
  int match;  // how much of "data:" this line has shown; -1 when it is another line
  char tail[64];  // what the marker or the last chunk may have begun in
  size_t tail_length;
} Client;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static char requests[CLIENTS_MAX][4096];
static int lengths[CLIENTS_MAX];

static void begin(Client *c, int number) {
  c->began = now();
  c->marked = 0;
  c->tail_length = 0;
  if (send(c->fd, requests[number], (size_t)lengths[number], MSG_NOSIGNAL) != lengths[number]) {
    perror("drive: send");
    exit(1);
  }
}

// Counts the lines that begin with "data:", wherever reads cut them.
static long count_events(Client *c, const char *bytes, size_t length) {
  long found = 0;
  for (size_t i = 0; i < length; i++) {
    if (bytes[i] == '\n') {
      c->match = 0;
    } else if (c->match >= 0) {
      c->match = bytes[i] == "data:"[c->match] ? c->match + 1 : -1;
      if (c->match == 5) found++, c->match = -1;
    }
  }
  return found;
}

int main(int argc, char **argv) {
  if (argc < 8) {
    fprintf(stderr, "usage: drive PORT PATH CLIENTS REQUESTS TOKENS MARKER BODY\n");
    return 2;
  }
  int port = atoi(argv[1]), clients = atoi(argv[3]), wanted = atoi(argv[4]), tokens = atoi(argv[5]);
  const char *marker = argv[6];
  size_t marker_length = strlen(marker);
  static Client all[CLIENTS_MAX];
  static char window[WINDOW + 128];
  double *latency = malloc(sizeof(double) * (size_t)wanted);
  int poller = epoll_create1(0), started = 0, done = 0, one = 1;
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  for (int i = 0; i < clients; i++) {
    char body[2048];
    snprintf(body, sizeof body, argv[7], i);
    lengths[i] = snprintf(requests[i], sizeof requests[i],
                          "POST %s HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
                          "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                          argv[2], strlen(body), body);
    all[i].fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(all[i].fd, (struct sockaddr *)&address, sizeof address))
      return perror("drive: connect"), 1;
    setsockopt(all[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
    epoll_ctl(poller, EPOLL_CTL_ADD, all[i].fd, &event);
  }
  long streamed = 0;
  double start = now();
  for (int i = 0; i < clients && started < wanted; i++, started++) begin(&all[i], i);
  while (done < wanted) {
    struct epoll_event events[256];
    int count = epoll_wait(poller, events, 256, 30000);
    if (count <= 0) return fprintf(stderr, "drive: no answer for 30 s\n"), 1;
    for (int e = 0; e < count; e++) {
      Client *c = &all[events[e].data.u32];
      memcpy(window, c->tail, c->tail_length);
      ssize_t got = recv(c->fd, window + c->tail_length, WINDOW - 64, 0);
      if (got <= 0) return fprintf(stderr, "drive: the server closed the connection\n"), 1;
      streamed += count_events(c, window + c->tail_length, (size_t)got);
      size_t length = c->tail_length + (size_t)got;
      if (!c->marked && memmem(window, length, marker, marker_length)) c->marked = 1;
      if (c->marked && length >= 5 && memcmp(window + length - 5, "0\r\n\r\n", 5) == 0) {
        latency[done++] = now() - c->began;
        if (started < wanted) {
          started++;
          begin(c, (int)events[e].data.u32);
        }
        continue;
      }
      c->tail_length = length < 48 ? length : 48;
      memcpy(c->tail, window + length - c->tail_length, c->tail_length);
    }
  }
  double seconds = (now() - start) / 1e6;
  qsort(latency, (size_t)wanted, sizeof(double), by_value);
  printf("{\"requests\":%d,\"seconds\":%.6f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"per_second\":%.1f,"
         "\"tokens_per_second\":%.1f,\"events_per_request\":%.1f}\n",
         wanted, seconds, latency[wanted / 2], latency[wanted * 99 / 100],
         (double)wanted / seconds, (double)wanted * tokens / seconds, (double)streamed / wanted);
}
