#include "kernels.h"

static const struct kernel_set *kernels_of(int level) {
#if defined(__x86_64__)
  switch (level) {
    case CJSON_AVX512: return &cjson_kernels_avx512;
    case CJSON_AVX2: return &cjson_kernels_avx2;
    case CJSON_SSE2: return &cjson_kernels_sse2;
    default: break;
  }
#endif
  (void)level;
  return &cjson_kernels_portable;
}

int cjson_level(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi") ||
      !__builtin_cpu_supports("bmi2") || !__builtin_cpu_supports("popcnt") ||
      !__builtin_cpu_supports("pclmul"))
    return CJSON_SSE2;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl") ||
      !__builtin_cpu_supports("avx512vbmi") || !__builtin_cpu_supports("avx512vbmi2"))
    return CJSON_AVX2;
  return CJSON_AVX512;
#else
  return CJSON_PORTABLE;
#endif
}

// Chosen before main: afterwards it is only read.
static const struct kernel_set *kernels = &cjson_kernels_portable;

__attribute__((constructor)) static void choose(void) { kernels = kernels_of(cjson_level()); }

// Puts every name at its place; false when two of them meet.
static bool place_all(cjson_names *names, size_t count) {
  memset(names->place, CJSON_NAMES_MAX, sizeof names->place);
  for (size_t index = 0; index < count; index++) {
    uint8_t *place = &names->place[place_of(names, names->words[index][0], names->words[index][1])];
    if (*place != CJSON_NAMES_MAX) return false;
    *place = (uint8_t)index;
  }
  return true;
}

int cjson_names_make(cjson_names *names, const char *const *list, size_t count) {
  *names = (cjson_names){0};
  if (count > CJSON_NAMES_MAX) return 0;
  // No name is all ones: the bytes would be no text.
  memset(names->words, 0xFF, sizeof names->words);
  for (size_t index = 0; index < count; index++) {
    size_t length = strlen(list[index]);
    if (length > CJSON_NAME_BYTES_MAX) return 0;
    memset(names->words[index], 0, sizeof names->words[index]);
    memcpy(names->words[index], list[index], length);
  }
  // About one multiplier in ten keeps sixteen names apart: this ends where names differ.
  names->multiplier = UINT64_C(0x9E3779B97F4A7C15);
  for (int attempt = 0; attempt < 10000; attempt++) {
    if (place_all(names, count)) return 1;
    names->multiplier = names->multiplier * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  }
  return 0;
}

int cjson_find(const cjson_names *names, const void *bytes, size_t length, cjson_found *found) {
  return kernels->find(names, bytes, length, found);
}

int cjson_find_at(int level, const cjson_names *names, const void *bytes, size_t length,
                  cjson_found *found) {
  return kernels_of(level)->find(names, bytes, length, found);
}

int cjson_validate(const void *bytes, size_t length) { return kernels->validate(bytes, length); }

int cjson_validate_at(int level, const void *bytes, size_t length) {
  return kernels_of(level)->validate(bytes, length);
}

size_t cjson_plain_prefix(const void *bytes, size_t length) {
  return kernels->plain_prefix(bytes, length);
}

size_t cjson_plain_prefix_at(int level, const void *bytes, size_t length) {
  return kernels_of(level)->plain_prefix(bytes, length);
}

size_t cjson_value_end(const void *bytes, size_t length) {
  return length == 0 ? 0 : kernels->value_end(bytes, 0, length);
}

size_t cjson_value_end_at(int level, const void *bytes, size_t length) {
  return length == 0 ? 0 : kernels_of(level)->value_end(bytes, 0, length);
}

int cjson_is_utf8(const void *bytes, size_t length) { return kernels->is_utf8(bytes, length); }

int cjson_is_utf8_at(int level, const void *bytes, size_t length) {
  return kernels_of(level)->is_utf8(bytes, length);
}
