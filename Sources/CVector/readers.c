// Who reads at the moment, so that what was taken out of the graph is used again only when nobody
// can see it any more (epoch-based reclamation). A reader claims a record by one exchange and
// waits for nobody, whatever becomes of writers and other readers.
#include "graph.h"

#include <stdlib.h>

struct cvx_readers {
  uint64_t epoch;
  cvx_reader *first;
  uint32_t dimension;
};

cvx_readers *cvx_readers_create(uint32_t dimension) {
  cvx_readers *readers = malloc(sizeof(*readers));
  if (!readers) abort();
  *readers = (cvx_readers){.epoch = 1, .first = 0, .dimension = dimension};
  return readers;
}

void cvx_readers_destroy(cvx_readers *readers) {
  for (cvx_reader *reader = readers->first; reader;) {
    cvx_reader *next = reader->next;
    cvx_scratch_destroy(reader->scratch);
    free(reader);
    reader = next;
  }
  free(readers);
}

static cvx_reader *claim(cvx_readers *readers) {
  cvx_reader *first = __atomic_load_n(&readers->first, __ATOMIC_ACQUIRE);
  for (cvx_reader *reader = first; reader; reader = reader->next) {
    if (__atomic_load_n(&reader->is_taken, __ATOMIC_RELAXED)) continue;
    if (!__atomic_exchange_n(&reader->is_taken, 1, __ATOMIC_ACQUIRE)) return reader;
  }
  cvx_reader *reader = 0;
  if (posix_memalign((void **)&reader, 64, sizeof(*reader)) != 0) abort();
  memset(reader, 0, sizeof(*reader));
  reader->is_taken = 1;
  reader->scratch = cvx_scratch_create(readers->dimension);
  reader->next = first;
  while (!__atomic_compare_exchange_n(&readers->first, &reader->next, reader, 1,
                                      __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
  }
  return reader;
}

cvx_reader *cvx_reader_enter(cvx_readers *readers) {
  cvx_reader *reader = claim(readers);
  // In one order with the writer's step of the epoch and its look at the readers.
  __atomic_store_n(&reader->epoch, __atomic_load_n(&readers->epoch, __ATOMIC_SEQ_CST),
                   __ATOMIC_SEQ_CST);
  return reader;
}

void cvx_reader_leave(cvx_reader *reader) {
  __atomic_store_n(&reader->epoch, 0, __ATOMIC_RELEASE);
  __atomic_store_n(&reader->is_taken, 0, __ATOMIC_RELEASE);
}

uint64_t cvx_readers_advance(cvx_readers *readers) {
  return __atomic_fetch_add(&readers->epoch, 1, __ATOMIC_SEQ_CST);
}

uint64_t cvx_readers_oldest(cvx_readers *readers) {
  uint64_t oldest = __atomic_load_n(&readers->epoch, __ATOMIC_SEQ_CST);
  cvx_reader *reader = __atomic_load_n(&readers->first, __ATOMIC_SEQ_CST);
  for (; reader; reader = reader->next) {
    uint64_t epoch = __atomic_load_n(&reader->epoch, __ATOMIC_SEQ_CST);
    if (epoch != 0 && epoch < oldest) oldest = epoch;
  }
  return oldest;
}

cvx_view *cvx_current(cvx_view *const *place) {
  return __atomic_load_n(place, __ATOMIC_SEQ_CST);
}

void cvx_publish(cvx_view **place, cvx_view *view) {
  __atomic_store_n(place, view, __ATOMIC_SEQ_CST);
}

uint32_t cvx_count(const cvx_view *view) {
  return (uint32_t)__atomic_load_n(&view->head, __ATOMIC_ACQUIRE);
}

uint32_t cvx_entry(const cvx_view *view) {
  return (uint32_t)(__atomic_load_n(&view->head, __ATOMIC_ACQUIRE) >> 32);
}

void cvx_set_head(cvx_view *view, uint32_t count, uint32_t entry) {
  __atomic_store_n(&view->head, (uint64_t)entry << 32 | count, __ATOMIC_RELEASE);
}

uint32_t cvx_live_count(const cvx_view *view) {
  return __atomic_load_n(&view->live_count, __ATOMIC_RELAXED);
}

uint32_t cvx_removed_count(const cvx_view *view) {
  return __atomic_load_n(&view->removed_count, __ATOMIC_RELAXED);
}

void cvx_set_removed_count(cvx_view *view, uint32_t count) {
  __atomic_store_n(&view->removed_count, count, __ATOMIC_RELAXED);
}

void cvx_set_live(cvx_view *view, uint32_t slot, int is_live) {
  uint64_t bit = 1ull << (slot & 63);
  if (is_live) {
    __atomic_fetch_or(&view->live[slot >> 6], bit, __ATOMIC_RELEASE);
    __atomic_fetch_add(&view->live_count, 1, __ATOMIC_RELAXED);
  } else {
    __atomic_fetch_and(&view->live[slot >> 6], ~bit, __ATOMIC_RELEASE);
    __atomic_fetch_sub(&view->live_count, 1, __ATOMIC_RELAXED);
  }
}

int cvx_live(const cvx_view *view, uint32_t slot) { return cvx_is_live(view->live, slot); }

void cvx_set_ids_are_slots(cvx_view *view, int are_slots) {
  __atomic_store_n(&view->ids_are_slots, (uint32_t)are_slots, __ATOMIC_RELAXED);
}

void cvx_set_by_nibbles(cvx_view *view, int by_nibbles) {
  __atomic_store_n(&view->by_nibbles, (uint32_t)by_nibbles, __ATOMIC_RELAXED);
}

uint32_t cvx_by_nibbles(const cvx_view *view) {
  return __atomic_load_n(&view->by_nibbles, __ATOMIC_RELAXED);
}

void cvx_clear_edges(cvx_view *view, uint32_t slot) {
  for (uint32_t layer = 0; layer <= cvx_level(view, slot); layer++) {
    uint32_t *edges = cvx_edges(view, slot, layer), degree = cvx_degree(view, layer);
    for (uint32_t at = 0; at < degree; at++) cvx_set_edge(edges + at, CVX_NONE);
  }
}

void cvx_set_edges(cvx_view *view, uint32_t slot, uint32_t layer, const uint32_t *chosen) {
  uint32_t *edges = cvx_edges(view, slot, layer), degree = cvx_degree(view, layer);
  for (uint32_t at = 0; at < degree; at++) cvx_set_edge(edges + at, chosen[at]);
}

// Rows may be on the page already, and what is written to them plainly at the same moment stays: on
// x86-64 as an instruction that ThreadSanitizer does not hold against that.
void cvx_touch_page(void *start) {
#if defined(__x86_64__)
  __asm__ volatile("lock orq $0, (%0)" : : "r"(start) : "memory", "cc");
#else
  __atomic_fetch_or((uint64_t *)start, 0, __ATOMIC_RELAXED);
#endif
}
