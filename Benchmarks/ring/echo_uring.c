// The floor on io_uring: an echo server with nothing in it but the echo. Multishot accept, multishot
// receive into provided buffers, the received buffer itself is sent back, one send in flight per
// connection, one io_uring_enter per turn.
//
//   echo_uring PORT [BUFFERS BUFFER_BYTES]
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 16384, PIECES_MAX = 4096 };
enum { ACCEPT, RECEIVE, SEND };

struct piece {
  uint16_t buffer;
  uint32_t offset, count;
  int32_t next;
};

struct connection {
  int32_t head, tail;
  int sending, receiving, ended, starved;
};

static struct io_uring ring;
static struct io_uring_buf_ring *buffers;
static char *memory;
static unsigned buffer_count = 64, buffer_bytes = 32768;
static struct connection connections[CONNECTIONS_MAX];
static struct piece pieces[PIECES_MAX];
static int32_t free_pieces = -1;
static int starved_count;

static struct io_uring_sqe *entry(void) {
  struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
  if (!sqe) {
    io_uring_submit(&ring);
    sqe = io_uring_get_sqe(&ring);
  }
  return sqe;
}

static void receive(int fd) {
  struct io_uring_sqe *sqe = entry();
  io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = 0;
  sqe->user_data = (uint64_t)RECEIVE << 32 | (unsigned)fd;
  connections[fd].receiving = 1;
}

static void send_front(int fd) {
  struct connection *c = &connections[fd];
  struct piece *p = &pieces[c->head];
  struct io_uring_sqe *sqe = entry();
  io_uring_prep_send(sqe, fd, memory + (size_t)p->buffer * buffer_bytes + p->offset,
                     p->count - p->offset, MSG_NOSIGNAL | MSG_WAITALL);
  sqe->user_data = (uint64_t)SEND << 32 | (unsigned)fd;
  c->sending = 1;
}

static void recycle(unsigned buffer) {
  io_uring_buf_ring_add(buffers, memory + (size_t)buffer * buffer_bytes, buffer_bytes, buffer,
                        io_uring_buf_ring_mask(buffer_count), 0);
  io_uring_buf_ring_advance(buffers, 1);
}

static void drop_front(struct connection *c) {
  int32_t index = c->head;
  c->head = pieces[index].next;
  recycle(pieces[index].buffer);
  pieces[index].next = free_pieces;
  free_pieces = index;
}

static void finish(int fd) {
  struct connection *c = &connections[fd];
  if (c->ended && !c->sending && !c->receiving && c->head < 0) {
    close(fd);
    memset(c, 0, sizeof *c);
  }
}

static void received(int fd, struct io_uring_cqe *cqe) {
  struct connection *c = &connections[fd];
  if (!(cqe->flags & IORING_CQE_F_MORE)) c->receiving = 0;
  if (cqe->res > 0) {
    int32_t index = free_pieces;
    free_pieces = pieces[index].next;
    pieces[index] = (struct piece){cqe->flags >> IORING_CQE_BUFFER_SHIFT, 0, cqe->res, -1};
    if (c->head < 0) c->head = index;
    else pieces[c->tail].next = index;
    c->tail = index;
    if (!c->sending) send_front(fd);
  } else if (cqe->res == -ENOBUFS) {
    c->starved = 1;
    starved_count++;
    return;
  } else {
    c->ended = 1;
  }
  if (!c->receiving && !c->ended) receive(fd);
  finish(fd);
}

static void sent(int fd, int result) {
  struct connection *c = &connections[fd];
  c->sending = 0;
  if (result < 0) {
    c->ended = 1;
    while (c->head >= 0) drop_front(c);
  } else {
    struct piece *p = &pieces[c->head];
    p->offset += result;
    if (p->offset == p->count) drop_front(c);
    if (c->head >= 0) send_front(fd);
  }
  finish(fd);
}

static void accepted(int fd) {
  connections[fd] = (struct connection){.head = -1, .tail = -1};
  receive(fd);
}

static void rearm_starved(void) {
  for (int fd = 0; starved_count > 0 && fd < CONNECTIONS_MAX; fd++) {
    if (!connections[fd].starved) continue;
    connections[fd].starved = 0;
    starved_count--;
    receive(fd);
  }
}

static int listener(int port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(fd, (void *)&address, sizeof address) || listen(fd, 1024)) {
    perror("listen");
    exit(1);
  }
  return fd;
}

static void setup(void) {
  struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                            IORING_SETUP_DEFER_TASKRUN |
                                            IORING_SETUP_COOP_TASKRUN | IORING_SETUP_CQSIZE,
                                   .cq_entries = 4096};
  if (io_uring_queue_init_params(512, &ring, &params) < 0) {
    fprintf(stderr, "no io_uring\n");
    exit(1);
  }
  io_uring_register_ring_fd(&ring);
  buffers = mmap(NULL, buffer_count * sizeof(struct io_uring_buf), PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct io_uring_buf_reg registration = {.ring_addr = (uint64_t)(uintptr_t)buffers,
                                          .ring_entries = buffer_count};
  if (io_uring_register_buf_ring(&ring, &registration, 0)) {
    fprintf(stderr, "no buffer ring\n");
    exit(1);
  }
  io_uring_buf_ring_init(buffers);
  memory = mmap(NULL, (size_t)buffer_count * buffer_bytes, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (unsigned i = 0; i < buffer_count; i++) recycle(i);
  for (int i = 0; i < PIECES_MAX; i++) {
    pieces[i].next = free_pieces;
    free_pieces = i;
  }
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  if (argc > 3) buffer_count = atoi(argv[2]), buffer_bytes = atoi(argv[3]);
  setup();
  struct io_uring_sqe *sqe = entry();
  io_uring_prep_multishot_accept(sqe, listener(atoi(argv[1])), NULL, NULL, 0);
  sqe->user_data = (uint64_t)ACCEPT << 32;
  puts("ready");
  fflush(stdout);
  for (;;) {
    io_uring_submit_and_wait(&ring, 1);
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;
    io_uring_for_each_cqe(&ring, head, cqe) {
      count++;
      int fd = (int)(uint32_t)cqe->user_data;
      switch (cqe->user_data >> 32) {
        case ACCEPT:
          if (cqe->res >= 0) accepted(cqe->res);
          break;
        case RECEIVE: received(fd, cqe); break;
        case SEND: sent(fd, cqe->res); break;
      }
    }
    io_uring_cq_advance(&ring, count);
    if (starved_count > 0) rearm_starved();
  }
}
