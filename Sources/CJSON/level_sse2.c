#include "kernels.h"

#if defined(__x86_64__)

#include "block_sse2.h"
// The order matters: each uses what stands before it.
#include "find.h"
#include "plain.h"
#include "utf8.h"
#include "validate.h"

const struct kernel_set cjson_kernels_sse2 = {find, validate, plain_prefix, value_end,
                                               is_utf8};
#endif
