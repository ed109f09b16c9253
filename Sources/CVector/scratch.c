#include "graph.h"

#include <stdlib.h>

/// Rows of one walk that are remembered to clear their bits; a longer walk clears all bits.
#define TOUCHED_MAX 8192
/// Words of bits below which all are cleared: that is as quick as one by one.
#define CLEARED_WHOLE 2048

static void *aligned(size_t bytes) {
  void *memory = 0;
  if (posix_memalign(&memory, 64, (bytes + 63) & ~(size_t)63) != 0) abort();
  return memory;
}

cvx_scratch *cvx_scratch_create(uint32_t dimension) {
  cvx_scratch *scratch = aligned(sizeof(cvx_scratch));
  memset(scratch, 0, sizeof(*scratch));
  size_t stride = cvx_stride(dimension);
  scratch->touched = aligned(TOUCHED_MAX * 4);
  scratch->query_codes = aligned(stride);
  scratch->row_codes = aligned(stride);
  scratch->query_exact = aligned(stride * sizeof(float));
  scratch->query_fine = aligned(stride * sizeof(float));
  scratch->row_fine = aligned(stride * sizeof(float));
  return scratch;
}

void cvx_scratch_destroy(cvx_scratch *scratch) {
  free(scratch->visited);
  free(scratch->touched);
  free(scratch->pool);
  free(scratch->found);
  free(scratch->answers);
  free(scratch->results);
  free(scratch->allow);
  free(scratch->query_codes);
  free(scratch->row_codes);
  free(scratch->query_exact);
  free(scratch->query_fine);
  free(scratch->row_fine);
  free(scratch);
}

// Room for the bits of `count` slots, all 0.
void cvx_visit_begin(cvx_scratch *scratch, uint32_t count) {
  size_t words = ((size_t)count + 63) / 64;
  scratch->touched_count = 0;
  if (scratch->visited_words >= words) return;
  size_t roomier = words + words / 2 + 64;
  free(scratch->visited);
  scratch->visited = aligned(roomier * 8);
  memset(scratch->visited, 0, roomier * 8);
  scratch->visited_words = roomier;
}

void cvx_touch(cvx_scratch *scratch, const uint32_t *slots, uint32_t count) {
  if (scratch->visited_words < CLEARED_WHOLE) return;
  uint32_t before = scratch->touched_count;
  if (before + count <= TOUCHED_MAX) memcpy(scratch->touched + before, slots, count * 4);
  scratch->touched_count = before + count <= TOUCHED_MAX ? before + count : TOUCHED_MAX + 1;
}

void cvx_visit_end(cvx_scratch *scratch) {
  if (scratch->touched_count > TOUCHED_MAX || scratch->visited_words < CLEARED_WHOLE) {
    memset(scratch->visited, 0, scratch->visited_words * 8);
  } else {
    for (uint32_t at = 0; at < scratch->touched_count; at++)
      scratch->visited[scratch->touched[at] >> 6] = 0;
  }
  scratch->touched_count = 0;
}

void cvx_reserve_pool(cvx_scratch *scratch, uint32_t capacity) {
  if (scratch->pool_capacity >= capacity) return;
  free(scratch->pool);
  scratch->pool = aligned((size_t)capacity * 8);
  scratch->pool_capacity = capacity;
}

void cvx_reserve_found(cvx_scratch *scratch, uint32_t capacity) {
  if (scratch->found_capacity >= capacity) return;
  free(scratch->found);
  scratch->found = aligned((size_t)capacity * 8);
  scratch->found_capacity = capacity;
}

cvx_answer *cvx_reserve_answers(cvx_scratch *scratch, uint32_t capacity) {
  if (scratch->answers_capacity < capacity) {
    free(scratch->answers);
    scratch->answers = aligned((size_t)capacity * sizeof(cvx_answer));
    scratch->answers_capacity = capacity;
  }
  return scratch->answers;
}

void cvx_reserve_results(cvx_scratch *scratch, uint32_t capacity) {
  if (scratch->results_capacity >= capacity) return;
  free(scratch->results);
  scratch->results = aligned((size_t)capacity * sizeof(cvx_result));
  scratch->results_capacity = capacity;
}

uint64_t *cvx_reserve_allow(cvx_scratch *scratch, uint32_t count) {
  size_t words = ((size_t)count + 63) / 64;
  if (scratch->allow_words < words) {
    free(scratch->allow);
    scratch->allow = aligned(words * 8);
    scratch->allow_words = words;
  }
  return scratch->allow;
}
