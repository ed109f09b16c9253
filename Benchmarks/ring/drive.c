// Drives an echo server: N connections, each with DEPTH requests of BYTES bytes on their way.
// Checks every byte that comes back and prints one JSON object with the server's own CPU time.
//
//   drive --port P [--pid PID] [--conns N] [--depth D] [--bytes B] [--ms MS] [--warm MS]
//         [--requests R] [--flood] [--tls]
//
// --requests ends after so many answers instead of after a time. --flood: the first connection
// keeps 4 MiB of 64 KiB requests on their way, and only the others' latencies count.
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { PATTERN = 1 << 20, BUFFER_BYTES = 262144, EVENTS = 256 };
enum { SUB_BITS = 5, BUCKETS = 64 << SUB_BITS };

struct connection {
  int fd, index, wants_write;
  unsigned depth, bytes;
  uint64_t sent, received, completed;
  uint64_t *started;
  SSL *ssl;
};

static unsigned char pattern[2 * PATTERN];
static unsigned char buffer[BUFFER_BYTES];
static uint64_t histogram[BUCKETS], requests, single_requests;
static int poller, is_flood, is_tls;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void fail(const char *what) {
  fprintf(stderr, "drive: %s: %s\n", what, strerror(errno));
  exit(1);
}

// Time on the CPU of every thread of the server, in nanoseconds.
static uint64_t server_cpu(int pid) {
  char path[300];
  snprintf(path, sizeof path, "/proc/%d/task", pid);
  DIR *tasks = opendir(path);
  if (!tasks) fail(path);
  uint64_t sum = 0;
  for (struct dirent *task; (task = readdir(tasks));) {
    if (task->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", pid, task->d_name);
    FILE *file = fopen(path, "r");
    unsigned long long ran = 0;
    if (file && fscanf(file, "%llu", &ran) == 1) sum += ran;
    if (file) fclose(file);
  }
  closedir(tasks);
  return sum;
}

static unsigned bucket(uint64_t value) {
  if (value < 1 << SUB_BITS) return value;
  unsigned shift = 63 - __builtin_clzll(value) - SUB_BITS;
  return (shift + 1) << SUB_BITS | ((value >> shift) & ((1 << SUB_BITS) - 1));
}

static double bucket_value(unsigned index) {
  if (index < 1 << SUB_BITS) return index;
  unsigned shift = (index >> SUB_BITS) - 1;
  return (double)(((1ull << SUB_BITS) | (index & ((1 << SUB_BITS) - 1))) << shift);
}

static double quantile(double q) {
  uint64_t total = 0, seen = 0;
  for (unsigned i = 0; i < BUCKETS; i++) total += histogram[i];
  if (!total) return 0;
  for (unsigned i = 0; i < BUCKETS; i++) {
    seen += histogram[i];
    if (seen >= q * total) return bucket_value(i) / 1000;
  }
  return 0;
}

static const unsigned char *stream(struct connection *c, uint64_t position) {
  return pattern + (position + (uint64_t)c->index * 7919) % PATTERN;
}

static void want_write(struct connection *c, int wanted) {
  if (c->wants_write == wanted) return;
  c->wants_write = wanted;
  struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = c};
  epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
}

static ssize_t put(struct connection *c, const void *bytes, size_t count) {
  if (!c->ssl) return send(c->fd, bytes, count, MSG_NOSIGNAL);
  size_t written;
  if (SSL_write_ex(c->ssl, bytes, count, &written)) return written;
  int error = SSL_get_error(c->ssl, 0);
  if (error != SSL_ERROR_WANT_WRITE && error != SSL_ERROR_WANT_READ) fail("SSL_write");
  errno = EAGAIN;
  return -1;
}

static ssize_t take(struct connection *c) {
  if (!c->ssl) return recv(c->fd, buffer, BUFFER_BYTES, 0);
  size_t got;
  if (SSL_read_ex(c->ssl, buffer, BUFFER_BYTES, &got)) return got;
  int error = SSL_get_error(c->ssl, 0);
  if (error == SSL_ERROR_ZERO_RETURN) return 0;
  if (error != SSL_ERROR_WANT_WRITE && error != SSL_ERROR_WANT_READ) fail("SSL_read");
  errno = EAGAIN;
  return -1;
}

static void fill(struct connection *c) {
  uint64_t target = (c->completed + c->depth) * c->bytes;
  while (c->sent < target) {
    uint64_t count = target - c->sent;
    if (count > PATTERN) count = PATTERN;
    ssize_t sent = put(c, stream(c, c->sent), count);
    if (sent < 0) {
      if (errno != EAGAIN) fail("send");
      return want_write(c, 1);
    }
    c->sent += sent;
  }
  want_write(c, 0);
}

static void answered(struct connection *c, uint64_t time) {
  uint64_t *started = &c->started[c->completed % c->depth];
  if (!is_flood || c->index > 0) {
    histogram[bucket(time - *started)]++;
    single_requests++;
  }
  *started = time;
  c->completed++;
  requests++;
}

static void readable(struct connection *c) {
  ssize_t count;
  do {
    count = take(c);
    if (count < 0 && errno == EAGAIN) break;
    if (count <= 0) fail("the server closed a connection");
    if (memcmp(buffer, stream(c, c->received), count)) {
      fprintf(stderr, "drive: wrong bytes at %llu of connection %d\n",
              (unsigned long long)c->received, c->index);
      exit(1);
    }
    c->received += count;
    uint64_t time = now();
    while (c->received >= (c->completed + 1) * c->bytes) answered(c, time);
  } while (c->ssl && SSL_pending(c->ssl));
  fill(c);
}

static struct connection *open_connection(int port, int index, unsigned depth, unsigned bytes,
                                          SSL_CTX *context) {
  struct connection *c = calloc(1, sizeof *c);
  c->index = index;
  c->depth = depth;
  c->bytes = bytes;
  c->started = calloc(depth, sizeof *c->started);
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  int on = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (connect(c->fd, (void *)&address, sizeof address)) fail("connect");
  if (context) {
    c->ssl = SSL_new(context);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (SSL_connect(c->ssl) != 1) {
      ERR_print_errors_fp(stderr);
      fail("SSL_connect");
    }
  }
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event);
  return c;
}

struct options {
  int port, pid, conns, ms, warm;
  unsigned depth, bytes;
  uint64_t requests;
};

static struct options parse(int argc, char **argv) {
  struct options o = {.conns = 1, .depth = 1, .bytes = 128, .ms = 300, .warm = 50};
  for (int i = 1; i < argc; i++) {
    const char *name = argv[i];
    if (!strcmp(name, "--flood")) { is_flood = 1; continue; }
    if (!strcmp(name, "--tls")) { is_tls = 1; continue; }
    long long value = i + 1 < argc ? atoll(argv[++i]) : 0;
    if (!strcmp(name, "--port")) o.port = value;
    else if (!strcmp(name, "--pid")) o.pid = value;
    else if (!strcmp(name, "--conns")) o.conns = value;
    else if (!strcmp(name, "--depth")) o.depth = value;
    else if (!strcmp(name, "--bytes")) o.bytes = value;
    else if (!strcmp(name, "--ms")) o.ms = value;
    else if (!strcmp(name, "--warm")) o.warm = value;
    else if (!strcmp(name, "--requests")) o.requests = value;
    else {
      fprintf(stderr, "drive: unknown %s\n", name);
      exit(2);
    }
  }
  return o;
}

int main(int argc, char **argv) {
  struct options o = parse(argc, argv);
  signal(SIGPIPE, SIG_IGN);
  uint64_t state = 88172645463325252ull;
  for (int i = 0; i < PATTERN; i++) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    pattern[i] = pattern[i + PATTERN] = state >> 32;
  }
  SSL_CTX *context = NULL;
  if (is_tls) {
    context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  }
  poller = epoll_create1(0);
  struct connection **all = calloc(o.conns, sizeof *all);
  for (int i = 0; i < o.conns; i++) {
    int floods = is_flood && i == 0;
    all[i] = open_connection(o.port, i, floods ? 64 : o.depth, floods ? 65536 : o.bytes, context);
  }
  uint64_t began = now(), cpu = 0, measured = 0;
  for (int i = 0; i < o.conns; i++) {
    for (unsigned k = 0; k < all[i]->depth; k++) all[i]->started[k] = began;
    fill(all[i]);
  }
  int is_warm = 0;
  for (;;) {
    uint64_t time = now();
    if (!is_warm && time - began >= (uint64_t)o.warm * 1000000) {
      is_warm = 1;
      began = time;
      measured = requests;
      memset(histogram, 0, sizeof histogram);
      single_requests = 0;
      if (o.pid) cpu = server_cpu(o.pid);
    }
    if (is_warm && (o.requests ? requests - measured >= o.requests
                               : time - began >= (uint64_t)o.ms * 1000000)) break;
    struct epoll_event events[EVENTS];
    int count = epoll_wait(poller, events, EVENTS, 10);
    for (int i = 0; i < count; i++) {
      struct connection *c = events[i].data.ptr;
      if (events[i].events & EPOLLOUT) fill(c);
      if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(c);
    }
  }
  uint64_t time = now() - began, done = requests - measured;
  uint64_t spent = o.pid ? server_cpu(o.pid) - cpu : 0;
  printf("{\"requests\":%llu,\"seconds\":%.6f,\"cpu_ns\":%.1f,\"cpu_share\":%.4f,"
         "\"p50_us\":%.1f,\"p99_us\":%.1f,\"singles\":%llu}\n",
         (unsigned long long)done, time / 1e9, done ? (double)spent / done : 0,
         (double)spent / time, quantile(0.5), quantile(0.99),
         (unsigned long long)single_requests);
  return 0;
}
