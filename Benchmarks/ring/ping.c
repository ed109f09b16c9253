// Two threads wake each other through eventfds: the floor of a wake-up across loops.
//
//   ping ROUNDS
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static int to_other, to_first;
static long rounds;

static void wait_for(int fd) {
  uint64_t value;
  if (read(fd, &value, 8) != 8) exit(1);
}

static void wake(int fd) {
  uint64_t one = 1;
  if (write(fd, &one, 8) != 8) exit(1);
}

static void *other(void *unused) {
  for (long i = 0; i < rounds; i++) {
    wait_for(to_other);
    wake(to_first);
  }
  return unused;
}

int main(int argc, char **argv) {
  rounds = argc > 1 ? atol(argv[1]) : 10000;
  to_other = eventfd(0, 0);
  to_first = eventfd(0, 0);
  pthread_t thread;
  pthread_create(&thread, NULL, other, NULL);
  struct timespec a, b;
  clock_gettime(CLOCK_MONOTONIC, &a);
  for (long i = 0; i < rounds; i++) {
    wake(to_other);
    wait_for(to_first);
  }
  clock_gettime(CLOCK_MONOTONIC, &b);
  double ns = (b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec);
  printf("{\"ping_ns\":%.1f}\n", ns / rounds / 2);
  pthread_join(thread, NULL);
  return 0;
}
