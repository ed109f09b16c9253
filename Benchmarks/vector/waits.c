// What the machine alone costs whoever wants to go on: two busy threads, as an adding and a searching
// one, of which the first does short pieces of arithmetic and notes its longest.
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static uint64_t work(uint64_t value, long steps) {
  for (long at = 0; at < steps; at++) value = value * 6364136223846793005ull + 1442695040888963407ull;
  return value;
}

static atomic_int is_over;

static void *be_busy(void *value) {
  while (!atomic_load(&is_over)) *(uint64_t *)value = work(*(uint64_t *)value, 1000);
  return value;
}

// Seconds of the longest piece; negative without a second thread.
double longest_piece(double seconds) {
  uint64_t other = 1;
  volatile uint64_t own = 2;
  pthread_t thread;
  atomic_store(&is_over, 0);
  if (pthread_create(&thread, 0, be_busy, &other) != 0) return -1;
  double longest = 0;
  for (double end = now() + seconds, before = now(); before < end;) {
    own = work(own, 100000);
    double after = now();
    if (after - before > longest) longest = after - before;
    before = after;
  }
  atomic_store(&is_over, 1);
  pthread_join(thread, 0);
  return longest;
}
