#include "clinux.h"

#include <sys/random.h>

int kfm_random(void *out, size_t length) {
  // Up to 256 bytes are never cut short by a signal (getrandom(2)).
  return length <= 256 && getrandom(out, length, 0) == (ssize_t)length;
}
