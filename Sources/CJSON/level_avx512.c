#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2,avx2,bmi,bmi2,lzcnt,popcnt,pclmul"))), \
                             apply_to = function)
#include "block_avx512.h"
// The order matters: each uses what stands before it.
#include "find.h"
#include "plain.h"
#include "utf8.h"
#include "validate.h"
#pragma clang attribute pop

const struct kernel_set cjson_kernels_avx512 = {find, validate, plain_prefix, value_end,
                                               is_utf8};
#endif
