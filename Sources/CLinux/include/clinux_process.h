// Processes, and the descriptors of an event loop: what needs _GNU_SOURCE, or code that may run
// between vfork and exec.
#ifndef KFM_CLINUX_PROCESS_H
#define KFM_CLINUX_PROCESS_H

#include <stdint.h>

/// What `kfm_spawn` runs. Arrays of strings end with NULL.
struct kfm_spawn_request {
  /// The first is the absolute path of the program.
  char *const *arguments;
  char *const *environment;
  /// NULL stays in the parent's directory.
  const char *directory;
  /// Become 0, 1, 2 … in the child; -1 is /dev/null. Everything else is closed.
  const int *descriptors;
  int descriptor_count;
  int new_session;
  int die_with_parent;
};

/// Starts a process. Returns its id and sets `*pid_descriptor`, or returns a negative errno and
/// sets `*step` to the name of what failed.
int kfm_spawn(const struct kfm_spawn_request *request, int *pid_descriptor, const char **step);

/// Collects a child. Returns 1 and its exit code, or minus the signal that killed it, in `*code`;
/// 0 while it runs; -1 when there is no such child.
int kfm_reap(int pid, int *code);

/// Waits for a child that has been killed.
void kfm_reap_killed(int pid);

/// A pipe closed on exec. Returns 0, or -1 and errno.
int kfm_pipe(int ends[2]);

/// Blocks `signals` for this thread and gives a non-blocking descriptor to read them from, or -1.
int kfm_signal_descriptor(const int *signals, int count);

/// Takes one signal. Returns 1, or 0 when none is pending.
int kfm_signal_read(int descriptor, int *signal);

/// Whether system calls of this process go through a seccomp filter. (One that forbids even the
/// question is there too.)
int kfm_is_filtered(void);

/// A non-blocking eventfd, or -1 and errno.
int kfm_event_descriptor(void);

/// fallocate(2) of `size` bytes from the start. Returns 0, or -1 and errno.
int kfm_fallocate(int descriptor, uint64_t size);

/// The kind of file system a file is on, as statfs(2) names it; 0 when that is not to be had.
uint64_t kfm_file_system(int descriptor);

/// O_DIRECT of open(2).
int kfm_o_direct(void);

#endif
