#define _GNU_SOURCE
#include "clinux_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

/// What the child tells its parent through the memory they share until exec.
struct outcome {
  volatile int code;
  const char *volatile step;
};

static void fail(struct outcome *outcome, const char *step) {
  outcome->code = errno;
  outcome->step = step;
  _exit(127);
}

/// Moves every descriptor above all targets first, so that no move overwrites a later source.
static void place_descriptors(const struct kfm_spawn_request *request, int *moved,
                              struct outcome *outcome) {
  int count = request->descriptor_count;
  for (int i = 0; i < count; i++) {
    int source = request->descriptors[i];
    if (source < 0) source = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (source >= 0) source = fcntl(source, F_DUPFD_CLOEXEC, count);
    if (source < 0) fail(outcome, "open");
    moved[i] = source;
  }
  for (int i = 0; i < count; i++)
    if (dup2(moved[i], i) < 0) fail(outcome, "dup2");
  // 5.9 and later; a filter that forbids it leaves us with close-on-exec, which we set everywhere.
  (void)syscall(SYS_close_range, count, ~0U, 0);
}

/// Runs in the child, in the parent's memory: system calls only, nothing that takes a lock.
static void child(const struct kfm_spawn_request *request, pid_t parent, int *moved,
                  struct outcome *outcome) {
  struct sigaction standard = {.sa_handler = SIG_DFL};
  for (int number = 1; number < NSIG; number++) (void)sigaction(number, &standard, NULL);
  if (request->new_session && setsid() < 0) fail(outcome, "setsid");
  if (request->die_with_parent) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) fail(outcome, "prctl");
    // The parent may have died before that.
    if (getppid() != parent) _exit(127);
  }
  if (request->directory && chdir(request->directory) != 0) fail(outcome, "chdir");
  place_descriptors(request, moved, outcome);
  sigset_t none;
  sigemptyset(&none);
  (void)sigprocmask(SIG_SETMASK, &none, NULL);
  execve(request->arguments[0], request->arguments, request->environment);
  fail(outcome, "exec");
}

int kfm_spawn(const struct kfm_spawn_request *request, int *pid_descriptor, const char **step) {
  struct outcome outcome = {0, NULL};
  int *moved = malloc(sizeof(int) * (size_t)(request->descriptor_count + 1));
  if (!moved) {
    *step = "spawn";
    return -ENOMEM;
  }
  // No handler of ours may run in the child: it would act on the parent's memory.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t parent = getpid();
  pid_t pid = vfork();
  if (pid == 0) child(request, parent, moved, &outcome);
  int fork_error = pid < 0 ? errno : 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  free(moved);

  if (pid < 0) {
    *step = "fork";
    return -fork_error;
  }
  if (outcome.code != 0) {
    kfm_reap_killed(pid);
    *step = outcome.step;
    return -outcome.code;
  }
  // The child is not reaped yet, so its number is still its own.
  *pid_descriptor = (int)syscall(SYS_pidfd_open, pid, 0);
  if (*pid_descriptor < 0) {
    int error = errno;
    kill(pid, SIGKILL);
    kfm_reap_killed(pid);
    *step = "pidfd_open";
    return -error;
  }
  return pid;
}

int kfm_reap(int pid, int *code) {
  int status = 0;
  pid_t result = waitpid(pid, &status, WNOHANG);
  if (result <= 0) return result < 0 && errno != EINTR ? -1 : 0;
  *code = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  return 1;
}

void kfm_reap_killed(int pid) {
  while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
}

int kfm_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

int kfm_signal_descriptor(const int *signals, int count) {
  sigset_t set;
  sigemptyset(&set);
  for (int i = 0; i < count; i++) sigaddset(&set, signals[i]);
  int error = pthread_sigmask(SIG_BLOCK, &set, NULL);
  if (error != 0) {
    errno = error;
    return -1;
  }
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int kfm_signal_read(int descriptor, int *signal) {
  struct signalfd_siginfo info;
  if (read(descriptor, &info, sizeof info) != sizeof info) return 0;
  *signal = (int)info.ssi_signo;
  return 1;
}

int kfm_is_filtered(void) { return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 0; }

int kfm_event_descriptor(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int kfm_fallocate(int descriptor, uint64_t size) {
  int result;
  do result = fallocate(descriptor, 0, 0, (off_t)size);
  while (result != 0 && errno == EINTR);
  return result;
}

uint64_t kfm_file_system(int descriptor) {
  struct statfs system;
  return fstatfs(descriptor, &system) == 0 ? (uint64_t)system.f_type : 0;
}

int kfm_o_direct(void) { return O_DIRECT; }
