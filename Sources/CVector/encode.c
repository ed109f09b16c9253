#include "graph.h"

#include <math.h>

// The same bits on every processor: no fused multiply-add may creep in.
#pragma STDC FP_CONTRACT OFF

#define INLINE static inline __attribute__((always_inline))

#if defined(__x86_64__)
#include <immintrin.h>

#define WIDE __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define AVX2 __attribute__((target("avx2")))
#endif

size_t cvx_stride(size_t dimension) { return (dimension + 63) & ~(size_t)63; }

#define LANES 16

// In lanes, which the order of comparisons would forbid the compiler to do.
INLINE float largest(const float *y, size_t dimension) {
  float most[LANES] = {0};
  size_t at = 0;
  for (; at + LANES <= dimension; at += LANES)
    for (int lane = 0; lane < LANES; lane++) {
      float magnitude = fabsf(y[at + lane]);
      most[lane] = magnitude > most[lane] ? magnitude : most[lane];
    }
  for (; at < dimension; at++) most[0] = fabsf(y[at]) > most[0] ? fabsf(y[at]) : most[0];
  for (int width = LANES / 2; width > 0; width /= 2)
    for (int lane = 0; lane < width; lane++)
      most[lane] = most[lane + width] > most[lane] ? most[lane + width] : most[lane];
  return most[0];
}

// Adding this and taking it away rounds to the nearest integer, halves to even, without a call.
#define ROUNDER 12582912.0f

INLINE cvx_factor encode(const float *y, const float *mean, size_t dimension, int metric,
                         uint8_t *codes, int8_t *residuals) {
  cvx_factor factor = {largest(y, dimension) / 127.0f, 0};
  float inverse = factor.scale > 0 ? 256.0f / factor.scale : 0;
  if (!(inverse <= 3e38f)) inverse = 0;
  int64_t squares = 0;
  for (size_t at = 0; at < dimension; at++) {
    float fine = (y[at] * inverse + ROUNDER) - ROUNDER;
    int value = (int)fine;
    int code = (value + 128) >> 8;
    codes[at] = (uint8_t)(code + 128);
    if (residuals) residuals[at] = (int8_t)(value - code * 256);
    squares += code * code;
  }
  if (metric == CVX_INNER_PRODUCT) {
    double product = 0;
    for (size_t at = 0; at < dimension; at++) product += (double)mean[at] * (double)y[at];
    factor.bias = -(float)product;
  } else {
    factor.bias = (float)((double)factor.scale * (double)factor.scale * (double)squares);
  }
  return factor;
}

#if defined(__x86_64__)
WIDE static cvx_factor encode_wide(const float *y, const float *mean, size_t dimension, int metric,
                                   uint8_t *codes, int8_t *residuals) {
  return encode(y, mean, dimension, metric, codes, residuals);
}

AVX2 static cvx_factor encode_avx2(const float *y, const float *mean, size_t dimension, int metric,
                                   uint8_t *codes, int8_t *residuals) {
  return encode(y, mean, dimension, metric, codes, residuals);
}
#endif

cvx_factor cvx_encode_at(int level, const float *y, const float *mean, size_t dimension,
                         int metric, uint8_t *codes, int8_t *residuals) {
  size_t stride = cvx_stride(dimension);
  memset(codes + dimension, 128, stride - dimension);
  if (residuals) memset(residuals + dimension, 0, stride - dimension);
#if defined(__x86_64__)
  if (level >= CVECTOR_AVX512_VNNI)
    return encode_wide(y, mean, dimension, metric, codes, residuals);
  if (level >= CVECTOR_AVX2_FMA) return encode_avx2(y, mean, dimension, metric, codes, residuals);
#endif
  (void)level;
  return encode(y, mean, dimension, metric, codes, residuals);
}

cvx_factor cvx_encode(const float *y, const float *mean, size_t dimension, int metric,
                      uint8_t *codes, int8_t *residuals) {
  return cvx_encode_at(cvector_level(), y, mean, dimension, metric, codes, residuals);
}

void cvx_decode(const uint8_t *codes, const int8_t *residuals, float scale, const float *mean,
                size_t dimension, float *vector) {
  float fine = scale / 256.0f;
  for (size_t at = 0; at < dimension; at++) {
    int value = ((int)codes[at] - 128) * 256 + (residuals ? residuals[at] : 0);
    vector[at] = (float)value * fine + mean[at];
  }
}

/// The largest Σ xᵢ²: (|a| + |b|)² of two such vectors still fits a float.
#define SQUARES_MAX (3.4028234663852886e38 / 4)

INLINE int check(const float *vector, size_t dimension, int metric, float *out) {
  // In double, where the squares of tiny and of huge components neither vanish nor overflow.
  double sums[8] = {0};
  size_t at = 0;
  for (; at + 8 <= dimension; at += 8)
    for (int lane = 0; lane < 8; lane++)
      sums[lane] += (double)vector[at + lane] * (double)vector[at + lane];
  for (; at < dimension; at++) sums[0] += (double)vector[at] * (double)vector[at];
  double squares = 0;
  for (int lane = 0; lane < 8; lane++) squares += sums[lane];
  if (!(squares <= 1.7976931348623157e308)) return CVX_NOT_FINITE;
  if (metric != CVX_COSINE) {
    if (squares > SQUARES_MAX) return CVX_TOO_LARGE;
    memcpy(out, vector, dimension * sizeof(float));
    return CVX_GOOD;
  }
  if (!(squares > 0)) return CVX_ZERO;
  double scale = 1 / sqrt(squares);
  for (at = 0; at < dimension; at++) out[at] = (float)((double)vector[at] * scale);
  return CVX_GOOD;
}

#if defined(__x86_64__)
WIDE static int check_wide(const float *vector, size_t dimension, int metric, float *out) {
  return check(vector, dimension, metric, out);
}

AVX2 static int check_avx2(const float *vector, size_t dimension, int metric, float *out) {
  return check(vector, dimension, metric, out);
}
#endif

int cvx_check_at(int level, const float *vector, size_t dimension, int metric, float *out) {
#if defined(__x86_64__)
  if (level >= CVECTOR_AVX512_VNNI) return check_wide(vector, dimension, metric, out);
  if (level >= CVECTOR_AVX2_FMA) return check_avx2(vector, dimension, metric, out);
#endif
  (void)level;
  return check(vector, dimension, metric, out);
}

int cvx_check(const float *vector, size_t dimension, int metric, float *out) {
  return cvx_check_at(cvector_level(), vector, dimension, metric, out);
}

// Takes the mean off a query. Its codes are those of a row without the offset.
INLINE cvx_coded encode_query(float *y, const float *mean, size_t dimension, int8_t *codes) {
  for (size_t at = 0; at < dimension; at++) y[at] -= mean[at];
  cvx_coded query = {.scale = largest(y, dimension) / 127.0f};
  float inverse = query.scale > 0 ? 1.0f / query.scale : 0;
  if (!(inverse <= 3e38f)) inverse = 0;
  for (size_t at = 0; at < dimension; at++) {
    int code = (int)((y[at] * inverse + ROUNDER) - ROUNDER);
    codes[at] = (int8_t)code;
    query.sum += code;
    query.squares += code * code;
  }
  return query;
}

#if defined(__x86_64__)
WIDE static cvx_coded encode_query_wide(float *y, const float *mean, size_t dimension,
                                        int8_t *codes) {
  return encode_query(y, mean, dimension, codes);
}

AVX2 static cvx_coded encode_query_avx2(float *y, const float *mean, size_t dimension,
                                        int8_t *codes) {
  return encode_query(y, mean, dimension, codes);
}
#endif

cvx_coded cvx_encode_query(int level, float *y, const float *mean, size_t dimension,
                           int8_t *codes) {
#if defined(__x86_64__)
  if (level >= CVECTOR_AVX512_VNNI) return encode_query_wide(y, mean, dimension, codes);
  if (level >= CVECTOR_AVX2_FMA) return encode_query_avx2(y, mean, dimension, codes);
#endif
  (void)level;
  return encode_query(y, mean, dimension, codes);
}

void cvx_prepare(const cvx_view *view, cvx_scratch *scratch, const float *vector,
                 cvx_query *query) {
  size_t dimension = view->dimension;
  float *y = scratch->query_exact;
  if (y != vector) memcpy(y, vector, dimension * sizeof(float));
  cvx_rotate(y, dimension);
  double product = 0;
  if (view->metric == CVX_INNER_PRODUCT)
    for (size_t at = 0; at < dimension; at++) product += (double)y[at] * (double)view->mean[at];
  cvx_coded codes =
      cvx_encode_query(cvector_level(), y, view->mean, dimension, scratch->query_codes);
  memset(scratch->query_codes + dimension, 0, view->stride - dimension);
  query->codes = scratch->query_codes;
  query->exact = y;
  query->fine = 0;
  query->by_nibbles = 0;
  query->offset = 128 * codes.sum;
  if (view->metric == CVX_INNER_PRODUCT) {
    query->scale = codes.scale;
    query->constant = (float)(1 - product);
  } else {
    query->scale = 2 * codes.scale;
    query->constant = (float)((double)codes.scale * (double)codes.scale * (double)codes.squares);
  }
}

CVX_INLINE int32_t copy_codes(const uint8_t *row, int8_t *codes, size_t stride) {
  int32_t sum = 0;
  for (size_t at = 0; at < stride; at++) {
    codes[at] = (int8_t)(row[at] ^ 0x80);
    sum += codes[at];
  }
  return sum;
}

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512bw,avx512vnni"))) static int32_t copy_codes_vnni(
    const uint8_t *row, int8_t *codes, size_t stride) {
  const __m512i offset = _mm512_set1_epi8((char)0x80), ones = _mm512_set1_epi8(1);
  __m512i sum = _mm512_setzero_si512();
  for (size_t at = 0; at < stride; at += 64) {
    __m512i code = _mm512_xor_si512(_mm512_loadu_si512(row + at), offset);
    _mm512_store_si512(codes + at, code);
    sum = _mm512_dpbusd_epi32(sum, ones, code);
  }
  return _mm512_reduce_add_epi32(sum);
}
#endif

// The row's bytes without their offset of 128, in the room that `query->codes` points to.
void cvx_query_of_row(const cvx_view *view, uint32_t slot, cvx_query *query) {
  const uint8_t *row = cvx_row(view, slot);
  int8_t *codes = (int8_t *)(uintptr_t)query->codes;
  int32_t sum;
#if defined(__x86_64__)
  if (cvector_level() >= CVECTOR_AVX512_VNNI) sum = copy_codes_vnni(row, codes, view->stride);
  else
#endif
    sum = copy_codes(row, codes, view->stride);
  cvx_factor factor = view->factors[slot];
  query->offset = 128 * sum;
  query->exact = 0;
  query->fine = 0;
  query->by_nibbles = 0;
  if (view->metric == CVX_INNER_PRODUCT) {
    query->scale = factor.scale;
    // The part of the product with the mean that the other row's bias lacks.
    query->constant = 1 + factor.bias - view->mean_square;
  } else {
    query->scale = 2 * factor.scale;
    query->constant = factor.bias;
  }
}
