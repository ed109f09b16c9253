#include "kernels.h"

#include "block_portable.h"
// The order matters: each uses what stands before it.
#include "find.h"
#include "plain.h"
#include "utf8.h"
#include "validate.h"

const struct kernel_set cjson_kernels_portable = {find, validate, plain_prefix, value_end,
                                               is_utf8};
