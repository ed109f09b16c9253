// liburing, and what of it Swift cannot import.
#ifndef KFM_CURING_H
#define KFM_CURING_H

// First: liburing.h defines _GNU_SOURCE, and Swift's Glibc module is built without it. Whoever
// sees <sys/select.h> first decides the shape of fd_set for the whole program.
#include <sys/select.h>

#include <liburing.h>
#include <stdint.h>

/// One completion, copied out of the ring so that its place there is free again.
struct kfm_completion {
  uint64_t user_data;
  int32_t result;
  uint32_t flags;
};

/// How completions get into the ring, best first.
enum kfm_ring_mode {
  KFM_RING_DEFERRED,
  KFM_RING_COOPERATIVE,
  KFM_RING_PLAIN,
};

/// Sets the ring up in `*mode` or, where this kernel does not know its flags, in the next one it
/// does, which is put into `*mode`. Returns 0 or a negative errno.
int kfm_ring_setup(struct io_uring *ring, unsigned entries, unsigned completions,
                   enum kfm_ring_mode *mode);

/// Submits what is queued and reaps. `wait_ns` < 0 waits without limit for one completion, 0 does
/// not wait, otherwise at most that long. Returns the number submitted or a negative errno
/// (-ETIME when nothing completed in time).
int kfm_ring_enter(struct io_uring *ring, int64_t wait_ns);

/// Moves up to `max` completions out of the ring.
unsigned kfm_ring_drain(struct io_uring *ring, struct kfm_completion *out, unsigned max);

/// A ring for `entries` (a power of two) buffers, registered as group 0 and still empty. NULL and
/// an errno in `*failure` when it cannot be had.
struct io_uring_buf_ring *kfm_buffers_setup(struct io_uring *ring, unsigned entries, int *failure);

void kfm_buffers_free(struct io_uring_buf_ring *buffers, unsigned entries);

static inline void kfm_sqe_link(struct io_uring_sqe *sqe) { sqe->flags |= IOSQE_IO_LINK; }

static inline void kfm_sqe_select_buffer(struct io_uring_sqe *sqe) {
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = 0;
}

#endif
