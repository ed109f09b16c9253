#define _GNU_SOURCE
#include "clinux_epoll.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

_Static_assert(KFM_EPOLL_EDGE == (unsigned)EPOLLET, "the bit of edge-triggering");

int kfm_epoll_make(void) {
  int descriptor = epoll_create1(EPOLL_CLOEXEC);
  return descriptor < 0 ? -errno : descriptor;
}

int kfm_epoll_set(int epoll, int descriptor, uint32_t events) {
  struct epoll_event event = {.events = events, .data.fd = descriptor};
  if (epoll_ctl(epoll, EPOLL_CTL_MOD, descriptor, &event) == 0) return 0;
  if (errno != ENOENT) return -errno;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 ? 0 : -errno;
}

void kfm_epoll_remove(int epoll, int descriptor) {
  (void)epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, NULL);
}

static int wait_events(int epoll, struct epoll_event *events, int max, int64_t wait_ns) {
  if (wait_ns < 0) return epoll_wait(epoll, events, max, -1);
  if (wait_ns == 0) return epoll_wait(epoll, events, max, 0);
  static atomic_bool coarse;
  if (!atomic_load_explicit(&coarse, memory_order_relaxed)) {
    struct timespec limit = {.tv_sec = wait_ns / 1000000000, .tv_nsec = wait_ns % 1000000000};
    int count = epoll_pwait2(epoll, events, max, &limit, NULL);
    if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
    atomic_store_explicit(&coarse, 1, memory_order_relaxed);
  }
  int64_t milliseconds = wait_ns / 1000000 + (wait_ns % 1000000 != 0);
  return epoll_wait(epoll, events, max, milliseconds > INT_MAX ? INT_MAX : (int)milliseconds);
}

int kfm_epoll_wait(int epoll, struct kfm_ready *out, int max, int64_t wait_ns) {
  struct epoll_event events[256];
  if (max > 256) max = 256;
  int count = wait_events(epoll, events, max, wait_ns);
  if (count < 0) return -errno;
  for (int i = 0; i < count; i++)
    out[i] = (struct kfm_ready){.descriptor = events[i].data.fd, .events = events[i].events};
  return count;
}

void kfm_set_blocking(int descriptor, int blocking) {
  int flags = fcntl(descriptor, F_GETFL);
  if (flags < 0) return;
  int wanted = blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
  if (wanted != flags) (void)fcntl(descriptor, F_SETFL, wanted);
}

int kfm_socket_error(int descriptor) {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
  return error;
}

int kfm_accept(int descriptor) {
  int accepted = accept4(descriptor, NULL, NULL, SOCK_CLOEXEC);
  return accepted < 0 ? -errno : accepted;
}
