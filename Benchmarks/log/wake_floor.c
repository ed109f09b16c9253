// What waking a reader costs at least.
//
//   wake_floor ping ROUNDS        a thread wakes another by an eventfd that waits in epoll
//   wake_floor write FILE ROUNDS  a block is written by an operation of a ring
//   wake_floor sync FILE ROUNDS   a block is written and synced by two linked operations of a ring
//
// Prints the median in microseconds.
#define _GNU_SOURCE
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096
#define BLOCKS 4096

static int rounds;
static double *times;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec * 1e-3;
}

static int events[2], waits[2];
static volatile double sent;

static void wait_for(int side) {
  struct epoll_event event;
  uint64_t count;
  while (epoll_wait(waits[side], &event, 1, -1) != 1) {}
  if (read(events[side], &count, 8) != 8) die("eventfd");
}

static void wake(int side) {
  uint64_t one = 1;
  if (write(events[side], &one, 8) != 8) die("eventfd");
}

static void *answer(void *unused) {
  for (int i = 0; i < rounds; i++) {
    wait_for(1);
    times[i] = now() - sent;
    wake(0);
  }
  return unused;
}

static void ping(void) {
  pthread_t thread;
  for (int i = 0; i < 2; i++) {
    events[i] = eventfd(0, EFD_NONBLOCK), waits[i] = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll_ctl(waits[i], EPOLL_CTL_ADD, events[i], &event)) die("epoll");
  }
  pthread_create(&thread, NULL, answer, NULL);
  for (int i = 0; i < rounds; i++) {
    sent = now();
    wake(1);
    wait_for(0);
  }
  pthread_join(thread, NULL);
}

static void write_blocks(const char *path, int syncs) {
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  char *block = aligned_alloc(BLOCK, BLOCK);
  if (fd < 0) die("open");
  memset(block, 1, BLOCK);
  for (long i = 0; i < BLOCKS; i++)
    if (pwrite(fd, block, BLOCK, i * BLOCK) != BLOCK) die("fill");
  if (fsync(fd)) die("fsync");
  struct io_uring ring;
  if (io_uring_queue_init(8, &ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN))
    die("io_uring");
  for (int i = 0; i < rounds; i++) {
    double began = now();
    struct io_uring_sqe *write = io_uring_get_sqe(&ring);
    io_uring_prep_write(write, fd, block, BLOCK, (long)(i % BLOCKS) * BLOCK);
    if (syncs) {
      write->flags |= IOSQE_IO_LINK;
      io_uring_prep_fsync(io_uring_get_sqe(&ring), fd, IORING_FSYNC_DATASYNC);
    }
    for (int left = 1 + syncs; left > 0;) {
      struct io_uring_cqe *cqe;
      io_uring_submit_and_wait(&ring, 1);
      while (io_uring_peek_cqe(&ring, &cqe) == 0) {
        if (cqe->res < 0) die("write");
        io_uring_cqe_seen(&ring, cqe), left--;
      }
    }
    times[i] = now() - began;
  }
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  if (argc < 3) return fprintf(stderr, "wake_floor ping|write|sync [FILE] ROUNDS\n"), 2;
  rounds = atoi(argv[argc - 1]);
  if (rounds < 1) return 2;
  times = calloc(rounds, sizeof *times);
  if (strcmp(argv[1], "ping") == 0) ping();
  else write_blocks(argv[2], strcmp(argv[1], "sync") == 0);
  qsort(times, rounds, sizeof *times, by_value);
  printf("{\"p50_us\":%.2f}\n", times[rounds / 2]);
  return 0;
}
