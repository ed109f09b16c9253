#include "curing.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

int kfm_ring_setup(struct io_uring *ring, unsigned entries, unsigned completions,
                   enum kfm_ring_mode *mode) {
  // 6.1: completions are worked only when we ask; 5.19: no interrupt of the loop's own thread;
  // 5.18: one bad entry does not stop the rest of a submission; 5.5: a larger completion queue.
  static const unsigned flags[] = {
      [KFM_RING_DEFERRED] = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                            IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL,
      [KFM_RING_COOPERATIVE] = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL,
      [KFM_RING_PLAIN] = 0,
  };
  int result = -EINVAL;
  for (enum kfm_ring_mode next = *mode; next <= KFM_RING_PLAIN && result == -EINVAL; next++) {
    struct io_uring_params params;
    memset(&params, 0, sizeof params);
    params.flags = flags[next] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    params.cq_entries = completions;
    result = io_uring_queue_init_params(entries, ring, &params);
    *mode = next;
  }
  if (result != 0) return result;
  // A filter may allow the setup alone: better to know before anything waits for the ring.
  result = io_uring_get_events(ring);
  if (result < 0) {
    io_uring_queue_exit(ring);
    return result;
  }
  // Saves the look-up of the ring's descriptor in every enter; the loop runs without it as well.
  (void)io_uring_register_ring_fd(ring);
  return 0;
}

int kfm_ring_enter(struct io_uring *ring, int64_t wait_ns) {
  if (wait_ns == 0) return io_uring_submit_and_get_events(ring);
  struct io_uring_cqe *first = NULL;
  if (wait_ns < 0) return io_uring_submit_and_wait_timeout(ring, &first, 1, NULL, NULL);
  struct __kernel_timespec limit = {.tv_sec = wait_ns / 1000000000,
                                    .tv_nsec = wait_ns % 1000000000};
  return io_uring_submit_and_wait_timeout(ring, &first, 1, &limit, NULL);
}

unsigned kfm_ring_drain(struct io_uring *ring, struct kfm_completion *out, unsigned max) {
  unsigned head, count = 0;
  struct io_uring_cqe *cqe;
  io_uring_for_each_cqe(ring, head, cqe) {
    if (count == max) break;
    out[count++] = (struct kfm_completion){cqe->user_data, cqe->res, cqe->flags};
  }
  if (count > 0) io_uring_cq_advance(ring, count);
  return count;
}

struct io_uring_buf_ring *kfm_buffers_setup(struct io_uring *ring, unsigned entries,
                                            int *failure) {
  size_t size = entries * sizeof(struct io_uring_buf);
  void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) {
    *failure = errno;
    return NULL;
  }
  struct io_uring_buf_reg registration = {
      .ring_addr = (uint64_t)(uintptr_t)map, .ring_entries = entries, .bgid = 0};
  int result = io_uring_register_buf_ring(ring, &registration, 0);
  if (result != 0) {
    *failure = -result;
    munmap(map, size);
    return NULL;
  }
  io_uring_buf_ring_init(map);
  return map;
}

void kfm_buffers_free(struct io_uring_buf_ring *buffers, unsigned entries) {
  munmap(buffers, entries * sizeof(struct io_uring_buf));
}
