// epoll, and the calls of sockets that go with it, without the shapes Swift cannot import.
#ifndef KFM_CLINUX_EPOLL_H
#define KFM_CLINUX_EPOLL_H

#include <stdint.h>
#include <time.h>

/// What a descriptor has been found ready for, in the bits of poll(2).
struct kfm_ready {
  int32_t descriptor;
  uint32_t events;
};

/// Beside the bits of poll(2): report a change once, not the state again and again.
#define KFM_EPOLL_EDGE (1u << 31)

/// An epoll descriptor closed on exec, or a negative errno.
int kfm_epoll_make(void);

/// Watches `descriptor` for `events`, whether it was watched before or not. Returns 0 or a negative
/// errno (-EPERM: always ready, a regular file).
int kfm_epoll_set(int epoll, int descriptor, uint32_t events);

/// Stops watching. A descriptor that is not watched, or closed, is no error.
void kfm_epoll_remove(int epoll, int descriptor);

/// Waits up to `wait_ns` (without limit if negative) for at most `max` (<= 256) descriptors. Returns
/// how many there are or a negative errno. Where epoll_pwait2 is missing, or a seccomp filter
/// forbids it, the wait is rounded up to milliseconds.
int kfm_epoll_wait(int epoll, struct kfm_ready *out, int max, int64_t wait_ns);

/// Switches between blocking and non-blocking.
void kfm_set_blocking(int descriptor, int blocking);

/// The error of a connect that went on in the background, 0 when it succeeded.
int kfm_socket_error(int descriptor);

/// accept4 with SOCK_CLOEXEC. Returns the descriptor or a negative errno.
int kfm_accept(int descriptor);

/// Monotonic time as of the kernel's last tick (1 to 10 ms ago), read without the processor's clock.
static inline int64_t kfm_coarse_milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#endif
