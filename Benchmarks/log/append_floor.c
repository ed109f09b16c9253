// What appending costs at least: the same messages and checksums as the log's, written and synced
// by a few lines of C.
//
//   append_floor best|grow DIR BATCHES MESSAGES MESSAGE_BYTES INFLIGHT
//
// best: io_uring, O_DIRECT, registered buffers, a file whose blocks have been written before; each
//       write is linked to its fdatasync, INFLIGHT of them at a time.
// grow: pwrite and fdatasync on a file that grows, by INFLIGHT threads.
//
// Prints one line of JSON: batches_per_s, mb_per_s, cpu_s_per_gb, ack_p50_us, ack_p99_us,
// ack_p999_us.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "clinux.h"

#define BLOCK 4096
#define SEGMENT (256l << 20)

static int batches, messages, message_bytes, inflight;
static size_t frame, padded;
static double *latencies;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static double cpu(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static uint64_t mix(uint64_t v) {
  v = (v ^ (v >> 30)) * 0xBF58476D1CE4E5B9ull;
  v = (v ^ (v >> 27)) * 0x94D049BB133111EBull;
  return v ^ (v >> 31);
}

static void put(char *at, uint64_t value, int bytes) { memcpy(at, &value, bytes); }

// A frame's header, a batch's header and the messages, with every checksum there is.
static void make_batch(char *out, uint64_t first, uint64_t *checksums) {
  char *batch = out + 64, *at = batch + 256;
  uint32_t body = 0;
  for (int i = 0; i < messages; i++) {
    put(at + 8, first + i, 8), put(at + 16, 1, 8), put(at + 24, i, 4), put(at + 28, 0, 4);
    put(at + 32, 0, 4), put(at + 36, message_bytes, 4), put(at + 40, 0, 8);
    char *payload = at + 48;
    put(payload, 0, 8), put(payload + 8, first + i, 8);
    uint64_t word = mix(mix(mix(1)) ^ (first + i));
    for (int b = 16; b + 8 <= message_bytes; b += 8, word += 0x9E3779B97F4A7C15ull)
      put(payload + b, word, 8);
    checksums[i] = XXH3_64bits(at + 8, 40 + message_bytes);
    put(at, checksums[i], 8);
    body = kfm_crc32c(body, at, 48 + message_bytes);
    at += 48 + message_bytes;
  }
  memset(batch, 0, 256);
  put(batch + 8, first, 8), put(batch + 32, at - batch, 8), put(batch + 48, messages, 4);
  put(batch + 40, XXH3_64bits(checksums, 8 * messages), 8);
  uint32_t sum = kfm_crc32c_combine(kfm_crc32c(0, batch, 256), body, at - batch - 256);
  memset(out, 0, 64);
  put(out, 0x464D464B, 4), put(out + 36, at - batch, 4), put(out + 40, sum, 4);
  put(out + 60, kfm_crc32c(0, out, 60), 4);
  memset(at, 0, padded - frame);
}

static void *block_memory(size_t bytes) {
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) die("mmap");
  memset(memory, 1, bytes);
  return memory;
}

static int open_recycled(const char *path) {
  int fd = open(path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
  if (fd < 0) die("open");
  long size = lseek(fd, 0, SEEK_END);
  char *zeros = block_memory(1 << 20);
  for (; size < SEGMENT; size += 1 << 20)
    if (pwrite(fd, zeros, 1 << 20, size) != 1 << 20) die("fill");
  munmap(zeros, 1 << 20);
  if (fsync(fd) != 0) die("fsync");
  return fd;
}

static void run_best(const char *path, double *elapsed, double *used) {
  int fd = open_recycled(path);
  struct io_uring ring;
  if (io_uring_queue_init(256, &ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN))
    die("io_uring");
  struct iovec memory[64];
  double began[64];
  for (int i = 0; i < inflight; i++)
    memory[i] = (struct iovec){block_memory(padded), padded};
  if (io_uring_register_buffers(&ring, memory, inflight)) die("buffers");
  uint64_t *checksums = malloc(8 * messages);
  int free_slots[64], slots = inflight, done = 0, next = 0;
  for (int i = 0; i < inflight; i++) free_slots[i] = i;
  long at = 0;
  double start = now(), start_cpu = cpu();
  while (done < batches) {
    while (slots > 0 && next < batches) {
      int slot = free_slots[--slots];
      make_batch(memory[slot].iov_base, (uint64_t)next * messages, checksums);
      if (at + (long)padded > SEGMENT) at = 0;
      began[slot] = now();
      struct io_uring_sqe *write = io_uring_get_sqe(&ring), *sync = io_uring_get_sqe(&ring);
      io_uring_prep_write_fixed(write, fd, memory[slot].iov_base, padded, at, slot);
      write->flags |= IOSQE_IO_LINK;
      write->user_data = 1000;
      io_uring_prep_fsync(sync, fd, IORING_FSYNC_DATASYNC);
      sync->user_data = slot;
      at += padded, next++;
      io_uring_submit(&ring);
    }
    struct io_uring_cqe *cqe;
    if (io_uring_wait_cqe(&ring, &cqe)) die("wait");
    do {
      if (cqe->user_data == 1000) {
        if (cqe->res != (int)padded) errno = -cqe->res, die("write");
      } else {
        if (cqe->res < 0) errno = -cqe->res, die("fdatasync");
        latencies[done++] = now() - began[cqe->user_data];
        free_slots[slots++] = cqe->user_data;
      }
      io_uring_cqe_seen(&ring, cqe);
    } while (io_uring_peek_cqe(&ring, &cqe) == 0);
  }
  *elapsed = now() - start, *used = cpu() - start_cpu;
}

static int grow_fd;
static int grow_next;

static void *grow(void *unused) {
  (void)unused;
  char *memory = block_memory(padded);
  uint64_t *checksums = malloc(8 * messages);
  for (;;) {
    int number = __atomic_fetch_add(&grow_next, 1, __ATOMIC_RELAXED);
    if (number >= batches) return NULL;
    make_batch(memory, (uint64_t)number * messages, checksums);
    double began = now();
    if (pwrite(grow_fd, memory, frame, (off_t)number * frame) != (ssize_t)frame) die("pwrite");
    if (fdatasync(grow_fd) != 0) die("fdatasync");
    latencies[number] = now() - began;
  }
}

static void run_grow(const char *path, double *elapsed, double *used) {
  grow_fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (grow_fd < 0) die("open");
  pthread_t threads[64];
  double start = now(), start_cpu = cpu();
  for (int i = 0; i < inflight; i++) pthread_create(&threads[i], NULL, grow, NULL);
  for (int i = 0; i < inflight; i++) pthread_join(threads[i], NULL);
  *elapsed = now() - start, *used = cpu() - start_cpu;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  if (argc != 7) return fprintf(stderr, "append_floor best|grow DIR BATCHES MESSAGES BYTES N\n"), 2;
  batches = atoi(argv[3]), messages = atoi(argv[4]);
  message_bytes = atoi(argv[5]), inflight = atoi(argv[6]);
  if (inflight < 1 || inflight > 64 || batches < 1) return fprintf(stderr, "out of range\n"), 2;
  frame = 64 + 256 + (size_t)messages * (48 + message_bytes);
  padded = (frame + BLOCK - 1) / BLOCK * BLOCK;
  latencies = calloc(batches, sizeof *latencies);
  char path[4096];
  snprintf(path, sizeof path, "%s/floor-%s", argv[2], argv[1]);
  double elapsed, used;
  if (strcmp(argv[1], "best") == 0) run_best(path, &elapsed, &used);
  else run_grow(path, &elapsed, &used);
  double mb = (double)batches * messages * message_bytes / 1e6;
  qsort(latencies, batches, sizeof *latencies, by_value);
  printf("{\"batches_per_s\":%.1f,\"mb_per_s\":%.2f,\"cpu_s_per_gb\":%.4f,\"ack_p50_us\":%.1f,"
         "\"ack_p99_us\":%.1f,\"ack_p999_us\":%.1f}\n",
         batches / elapsed, mb / elapsed, used / (mb / 1e3), latencies[batches / 2] * 1e6,
         latencies[batches * 99 / 100] * 1e6, latencies[(long)batches * 999 / 1000] * 1e6);
  return 0;
}
