// Contract: on arm64 every kernel of CVector is within 1e-5 of the sum of magnitudes (or of
// squares) of a Float64 reference, and sums of codes are exact integers, of their upper halves too, at every dimension
// 1...1,024 and some up to 4,096, at every alignment of a float and a byte; the checksum is that of
// the table; the rotation comes back; a scan finds what brute force finds, and one for a tile of
// queries the same.
#include "../../Sources/CVector/batch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { DIMENSION_MAX = 4096, ROWS = 300, NEAREST = 10 };

static uint64_t state = 20;
static long checks;

static uint32_t draw(void) {
  state = state * 6364136223846793005ull + 1442695040888963407ull;
  return (uint32_t)(state >> 33);
}

static float unit(void) { return (float)draw() / (float)(1u << 30) - 1; }

static void require(int is_right, const char *what, size_t dimension, int level) {
  checks++;
  if (is_right) return;
  printf("FAIL: %s, dimension %zu, level %d\n", what, dimension, level);
  exit(1);
}

static float a[DIMENSION_MAX + 16], b[DIMENSION_MAX + 16];

static void check_floats(size_t dimension, size_t shift) {
  const float *x = a + shift, *y = b + (shift * 7) % 16;
  double dot = 0, magnitude = 0, squares = 0;
  for (size_t at = 0; at < dimension; at++) {
    dot += (double)x[at] * y[at];
    magnitude += fabs((double)x[at] * y[at]);
    squares += ((double)x[at] - y[at]) * ((double)x[at] - y[at]);
  }
  for (int level = CVECTOR_BASELINE; level <= cvector_level(); level++) {
    require(fabs(cvector_dot_f32_at(level, x, y, dimension) - dot) <= 1e-5 * magnitude, "dot",
            dimension, level);
    require(fabs(cvector_l2_f32_at(level, x, y, dimension) - squares) <= 1e-5 * squares, "l2",
            dimension, level);
  }
}

static uint8_t codes[5 * CVX_STRIDE_MAX] __attribute__((aligned(64)));
static int8_t residuals[CVX_STRIDE_MAX], query[CVX_STRIDE_MAX] __attribute__((aligned(64)));

static void check_codes(size_t dimension) {
  size_t stride = cvx_stride(dimension);
  for (size_t at = 0; at < stride; at++)
    query[at] = at >= dimension ? 0 : at % 3 == 0 ? 127 : (int8_t)((int)(draw() % 255) - 127);
  for (size_t at = 0; at < 5 * stride; at++)
    codes[at] = at % 7 == 0 ? 255 : at % 11 == 0 ? 0 : (uint8_t)draw();
  for (int level = CVECTOR_BASELINE; level <= cvector_level(); level++)
    for (uint32_t count = 1; count <= 5; count++) {
      int32_t sums[8], scanned[8];
      cvx_code_sums(level, codes, stride, count, query, sums);
      cvx_scan_sums(level, codes, stride, count, query, scanned);
      for (uint32_t row = 0; row < count; row++) {
        int32_t sum = 0;
        for (size_t at = 0; at < stride; at++) sum += codes[row * stride + at] * query[at];
        require(sums[row] == sum && scanned[row] == sum, "sum of codes", dimension, level);
      }
    }
}

// With a scale of 2 and no bias, a distance is 241 times the query's sum less 32 times the row's,
// as a float: the query has one component at a time that is not 0, so that it holds every sum.
static void check_nibbles(size_t dimension) {
  static uint8_t nibbles[5 * CVX_STRIDE_MAX];
  static int8_t one[CVX_STRIDE_MAX + 64] __attribute__((aligned(64)));
  cvx_factor factors[5], short_factors[5];
  const uint32_t slots[5] = {4, 2, 0, 1, 3};
  cvx_view view = {.dimension = (uint32_t)dimension, .stride = (uint32_t)cvx_stride(dimension),
                   .metric = CVX_INNER_PRODUCT, .codes = codes, .factors = factors,
                   .nibbles = nibbles, .nibble_factors = short_factors};
  view.nibble_stride = cvx_nibble_stride(view.stride);
  for (uint32_t row = 0; row < 5; row++) {
    factors[row] = (cvx_factor){2, 0};
    cvx_shorten(&view, row);
  }
  size_t at = draw() % dimension;
  one[at] = (int8_t)((int)(draw() % 255) - 127);
  cvx_query asked = {.codes = one, .scale = 1, .offset = 128 * one[at]};
  for (int level = CVECTOR_BASELINE; level <= cvector_level(); level++)
    for (uint32_t count = 1; count <= 5; count++) {
      float out[CVX_GROUP + 4];
      cvx_nibble_rows(level, &view, &asked, slots, count, out);
      for (uint32_t place = 0; place < count; place++) {
        int nibble = codes[slots[place] * view.stride + at] / 16;
        require(out[place] == (float)((241 - 32 * nibble) * one[at]), "nibbles", dimension, level);
      }
    }
  one[at] = 0;
}

static void check_exact(size_t dimension) {
  static float mean[DIMENSION_MAX], row[DIMENSION_MAX];
  cvx_factor factor = cvx_encode(a, mean, dimension, CVX_L2, codes, residuals);
  for (int has_residuals = 0; has_residuals < 2; has_residuals++) {
    const int8_t *more = has_residuals ? residuals : 0;
    cvx_decode(codes, more, factor.scale, mean, dimension, row);
    double dot = 0, magnitude = 0, squares = 0;
    for (size_t at = 0; at < dimension; at++) {
      dot += (double)row[at] * b[at];
      magnitude += fabs((double)row[at] * b[at]);
      squares += ((double)row[at] - b[at]) * ((double)row[at] - b[at]);
    }
    for (int level = CVECTOR_BASELINE; level <= cvector_level(); level++) {
      float product = cvx_exact_sum(level, codes, more, factor.scale, b, dimension, 1);
      float sum = cvx_exact_sum(level, codes, more, factor.scale, b, dimension, 0);
      require(fabs(product - dot) <= 1e-5 * magnitude, "product by all bits", dimension, level);
      require(fabs(sum - squares) <= 1e-5 * squares, "squares by all bits", dimension, level);
    }
  }
}

static void check_rotation(size_t dimension) {
  static float turned[DIMENSION_MAX];
  memcpy(turned, a, dimension * sizeof(float));
  cvx_rotate(turned, dimension);
  cvx_rotate_back(turned, dimension);
  for (size_t at = 0; at < dimension; at++)
    require(fabsf(turned[at] - a[at]) < 1e-5f, "rotation", dimension, 0);
}

static void check_checksums(void) {
  for (size_t length = 0; length < 600; length++)
    for (size_t shift = 0; shift < 8; shift++)
      require(cvector_crc32c((uint32_t)length, codes + shift, length) ==
                  cvector_crc32c_portable((uint32_t)length, codes + shift, length),
              "checksum", length, 0);
}

static void check_tile(const cvx_view *view, cvx_scratch *scratch, const cvx_query *asked) {
  static uint64_t nearest[CVX_TILE * (NEAREST + 1)];
  cvx_query queries[CVX_TILE];
  for (int number = 0; number < CVX_TILE; number++) queries[number] = *asked;
  cvx_tile tile = {.queries = queries, .count = CVX_TILE, .wanted = NEAREST, .nearest = nearest};
  cvx_scan_tile(view, &tile, ROWS);
  cvx_scan_codes(view, scratch, asked, ROWS, 0, NEAREST);
  for (int number = 0; number < CVX_TILE; number++) {
    require(tile.found[number] == NEAREST, "answers of a tile", view->dimension, number);
    require(memcmp(nearest + number * (NEAREST + 1), scratch->found, NEAREST * 8) == 0,
            "nearest of a tile", view->dimension, number);
  }
}

// Every row of a small index, looked at.
static void check_scan(uint32_t dimension) {
  static float rows[ROWS][DIMENSION_MAX], mean[DIMENSION_MAX], turned[DIMENSION_MAX];
  size_t stride = cvx_stride(dimension);
  cvx_view view = {.dimension = dimension, .stride = (uint32_t)stride, .metric = CVX_L2};
  view.codes = aligned_alloc(64, ROWS * stride);
  view.residuals = aligned_alloc(64, ROWS * stride);
  view.factors = calloc(ROWS, sizeof(cvx_factor));
  view.live = calloc(ROWS / 64 + 1, sizeof(uint64_t));
  view.mean = mean;
  for (uint32_t row = 0; row < ROWS; row++) {
    for (uint32_t at = 0; at < dimension; at++) turned[at] = rows[row][at] = unit();
    cvx_rotate(turned, dimension);
    view.factors[row] = cvx_encode(turned, mean, dimension, CVX_L2, view.codes + row * stride,
                                   view.residuals + row * stride);
    cvx_set_live(&view, row, 1);
  }
  cvx_scratch *scratch = cvx_scratch_create(dimension);
  cvx_query prepared;
  cvx_answer answers[NEAREST];
  cvx_prepare(&view, scratch, a, &prepared);
  uint32_t found = cvx_scan(&view, scratch, &prepared, ROWS, 0, NEAREST, answers);
  require(found == NEAREST, "as many as there are", dimension, 0);
  for (uint32_t rank = 0; rank < NEAREST; rank++) {
    double squares = 0;
    for (uint32_t at = 0; at < dimension; at++)
      squares += ((double)rows[answers[rank].slot][at] - a[at]) *
                 ((double)rows[answers[rank].slot][at] - a[at]);
    require(fabs(answers[rank].distance - squares) <= 1e-3 * squares, "distance of a scan",
            dimension, 0);
    uint32_t nearer = 0;
    for (uint32_t row = 0; row < ROWS; row++) {
      double other = 0;
      for (uint32_t at = 0; at < dimension; at++)
        other += ((double)rows[row][at] - a[at]) * ((double)rows[row][at] - a[at]);
      nearer += other < squares * (1 - 1e-4);
    }
    require(nearer <= rank, "rank of a scan", dimension, 0);
  }
  check_tile(&view, scratch, &prepared);
  cvx_scratch_destroy(scratch);
  free(view.codes), free(view.residuals), free(view.factors), free(view.live);
}

int main(void) {
  static const size_t large[] = {1536, 2000, 3072, 4095, 4096};
  for (size_t at = 0; at < DIMENSION_MAX + 16; at++) a[at] = unit(), b[at] = unit();
  for (size_t step = 1; step <= 1024 + 5; step++) {
    size_t dimension = step <= 1024 ? step : large[step - 1025];
    for (size_t shift = 0; shift < 16; shift++) check_floats(dimension, shift);
    check_codes(dimension);
    for (int turn = 0; turn < 20; turn++) check_nibbles(dimension);
    check_exact(dimension);
    check_rotation(dimension);
  }
  check_checksums();
  for (uint32_t dimension = 3; dimension < 900; dimension = 2 * dimension + 5)
    check_scan(dimension);
  printf("level %d, seed 20: %ld checks passed\n", cvector_level(), checks);
  return 0;
}
