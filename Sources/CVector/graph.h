// The graph of a vector index as flat arrays, and what the files of this target share about it.
// Everything that a search touches is an array by slot; nothing in it is a pointer, so that a
// section of a file can stand for an array as it is.
#ifndef CVECTOR_GRAPH_H
#define CVECTOR_GRAPH_H

#include "cvector.h"

#include <string.h>

#define CVX_NONE UINT32_MAX
/// The most edges of a list.
#define CVX_DEGREE_MAX 256
/// Rows a kernel is given at once.
#define CVX_GROUP 64

#define CVX_INLINE static inline __attribute__((always_inline))

/// A row and its distance in one word that orders by distance, then by slot: 31 bits of the one, 32
/// of the other. The lowest bit says that the row's edges were followed already; of two different
/// rows it orders none, so that a sorted list stays one whatever is marked in it.
#define CVX_EXPANDED 1ull

CVX_INLINE uint64_t cvx_key(float distance, uint32_t slot) {
  uint32_t bits;
  memcpy(&bits, &distance, 4);
  bits = (bits & 0x80000000u) ? ~bits : bits | 0x80000000u;
  return (uint64_t)(bits & ~1u) << 32 | (uint64_t)slot << 1;
}

CVX_INLINE float cvx_key_distance(uint64_t key) {
  uint32_t bits = (uint32_t)(key >> 32) & ~1u;
  bits = (bits & 0x80000000u) ? bits & 0x7FFFFFFFu : ~bits;
  float distance;
  memcpy(&distance, &bits, 4);
  return distance;
}

CVX_INLINE uint32_t cvx_key_slot(uint64_t key) { return (uint32_t)(key >> 1); }

/// Edges change under readers: each word is read and written whole.
CVX_INLINE uint32_t cvx_edge(const uint32_t *edge) {
  return __atomic_load_n(edge, __ATOMIC_ACQUIRE);
}

CVX_INLINE void cvx_set_edge(uint32_t *edge, uint32_t slot) {
  __atomic_store_n(edge, slot, __ATOMIC_RELEASE);
}

CVX_INLINE uint32_t cvx_degree(const cvx_view *view, uint32_t layer) {
  return layer == 0 ? view->degree : view->upper_degree;
}

CVX_INLINE uint32_t cvx_level(const cvx_view *view, uint32_t slot) {
  return view->levels[slot];
}

/// Where the list of `slot` begins; the caller knows that the slot reaches the layer.
CVX_INLINE uint32_t *cvx_edges(const cvx_view *view, uint32_t slot, uint32_t layer) {
  if (layer == 0) return view->edges + (size_t)slot * view->degree;
  return view->upper_edges +
         ((size_t)view->upper_starts[slot] + (layer - 1)) * view->upper_degree;
}

CVX_INLINE int cvx_is_live(const uint64_t *bits, uint32_t slot) {
  return (__atomic_load_n(&bits[slot >> 6], __ATOMIC_RELAXED) >> (slot & 63)) & 1;
}

CVX_INLINE const uint8_t *cvx_row(const cvx_view *view, uint32_t slot) {
  return view->codes + (size_t)slot * view->stride;
}

/// Distances of `count` rows (at most CVX_GROUP) from a query by their codes.
typedef void (*cvx_distances_kernel)(const cvx_view *, const cvx_query *, const uint32_t *slots,
                                     uint32_t count, float *out);

/// The kernel of the processor at hand.
extern cvx_distances_kernel cvx_distances;

/// The same by nibbles, of a view that has them.
extern cvx_distances_kernel cvx_nibble_distances;

/// Puts the candidates that a walk by nibbles found in the order of their 8-bit codes; those that are
/// behind the k nearest for sure are left out. Whether nibbles tell the nearest ones apart: otherwise
/// the walk has to be taken by 8 bits.
int cvx_settle(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch, uint32_t k);

/// The same for the `first` nearest, in whose order the others, as far as their nibbles tell, stay.
int cvx_settle_first(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch,
                     uint32_t first);

/// Rows of a scan that are asked for ahead of the one that is compared.
#define CVX_AHEAD 16

/// Distances of any number of rows that nobody asked for yet; `slots` and `out` have room for
/// CVX_AHEAD + 4 more.
void cvx_scan_distances(const cvx_view *view, const cvx_query *query, uint32_t *slots,
                        uint32_t count, float *out);

/// One row as a query, by its own codes.
void cvx_query_of_row(const cvx_view *view, uint32_t slot, cvx_query *query);

/// Of `count` candidates, nearest first, at most `limit` that point in different directions; by all
/// bits where their distances are.
uint32_t cvx_select(const cvx_view *view, cvx_scratch *scratch, const uint64_t *candidates,
                    uint32_t count, uint32_t limit, int is_fine, uint32_t *chosen);

/// The usual error of the distance between a query and a row by their codes.
float cvx_usual_error(const cvx_view *view, const cvx_query *query, uint32_t slot, float distance);

/// Whether so many of the nearest sorted candidates are equally far by their codes, within what codes
/// err, that distances have to go by all bits.
int cvx_is_blurred(const cvx_view *view, const cvx_query *query, const uint64_t *sorted,
                   uint32_t count);

/// The same for a list of edges in any order.
int cvx_is_list_blurred(const cvx_view *view, const cvx_query *query, const uint32_t *slots,
                        const float *distances, uint32_t count);

/// The caller's query with distances by all bits, in memory of `scratch`.
cvx_query cvx_sharp(const cvx_view *view, cvx_scratch *scratch, const cvx_query *query);

/// Makes distances from a row go by all bits; `room` has `stride` floats.
void cvx_sharpen_row(const cvx_view *view, uint32_t slot, cvx_query *query, float *room);

/// Distances of at most CVX_GROUP rows, by their codes or by all bits.
void cvx_apart(const cvx_view *view, const cvx_query *query, const uint32_t *slots, uint32_t count,
               float *out);

/// Goes on in layer 0 from the candidates that a walk found, by all bits. `ef` and `room` as there.
void cvx_walk_fine(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch,
                   uint32_t count, uint32_t ef, uint32_t room);

/// Distances of any number of rows.
void cvx_measure(const cvx_view *view, const cvx_query *query, const uint32_t *slots,
                 uint32_t count, float *distances);

/// Leaves measured rows sorted in `scratch->pool`; how many.
uint32_t cvx_rank(const cvx_view *view, cvx_scratch *scratch, const uint32_t *slots,
                  const float *distances, uint32_t count);

void cvx_set_list(const cvx_view *view, uint32_t target, uint32_t layer, const uint32_t *slots,
                  uint32_t count);

/// The distance of a row by all its bits: what is returned.
float cvx_exact(const cvx_view *view, const cvx_query *query, uint32_t slot);

// Which kernels run at a level.
void cvx_choose_distances(int level);
void cvx_choose_exact(int level);
void cvx_choose_fine(int level);
void cvx_choose_nibbles(int level);
void cvx_choose_pool(int level);
void cvx_choose_visit(int level);

// Scratch memory (scratch.c).
void cvx_touch(cvx_scratch *scratch, const uint32_t *slots, uint32_t count);
void cvx_reserve_pool(cvx_scratch *scratch, uint32_t capacity);
void cvx_reserve_found(cvx_scratch *scratch, uint32_t capacity);
void cvx_reserve_results(cvx_scratch *scratch, uint32_t capacity);
cvx_answer *cvx_reserve_answers(cvx_scratch *scratch, uint32_t capacity);

// Sorted lists (pool.c).
uint32_t cvx_insert(uint64_t *pool, uint32_t *count, uint32_t capacity, uint64_t key);

/// Offers `count` measured rows to a sorted list of `held`, which keeps at most `ef` and has room for
/// as many rounded up to a multiple of 8; the lowest place that one of them took, or a number above
/// all. Where `layer` is 0, the edges of those rows are needed soon. Where `aside` is not null, removed
/// rows go there instead, if they would have been taken.
typedef uint32_t (*cvx_offer_kernel)(const cvx_view *, uint64_t *list, uint32_t *held, uint32_t ef,
                                     const uint32_t *slots, const float *distances,
                                     uint32_t count, uint32_t layer, cvx_aside *aside);
extern cvx_offer_kernel cvx_offer;

/// Of a list of `degree` slots, those below `count` whose bit is not set yet; it is set then. Room
/// for CVX_DEGREE_MAX.
typedef uint32_t (*cvx_unseen_kernel)(uint64_t *visited, const uint32_t *edges, uint32_t degree,
                                      uint32_t count, uint32_t *fresh);
extern cvx_unseen_kernel cvx_unseen;

// Masks (bits.c).
/// Live rows of the first `count` slots whose bit is set; without `allow` all of them.
uint64_t cvx_count_allowed(const cvx_view *view, const uint64_t *allow, uint32_t count);

/// Room for the slots that are listed at once.
#define CVX_LISTED_MAX 2048

/// The slots of such rows from `*word` of the mask on, in any order within 512; as many as there is
/// room for, eight more aside, and `*word` is where the next ones begin.
uint32_t cvx_list_allowed(const cvx_view *view, const uint64_t *allow, uint32_t count,
                          uint32_t *word, uint32_t *slots);

// Walks (walk.c).
void cvx_prefetch(const cvx_view *view, const uint32_t *slots, uint32_t count);
uint32_t cvx_rerank(const cvx_view *view, cvx_scratch *scratch, const cvx_query *query,
                    const uint64_t *candidates, uint32_t count, uint32_t k, cvx_answer *answers);
uint32_t cvx_reranked(uint32_t k);
/// Leaves the nearest `wanted` of the allowed, live rows in `scratch->found`, by their codes.
void cvx_scan_codes(const cvx_view *view, cvx_scratch *scratch, const cvx_query *query,
                    uint32_t count, const uint64_t *allow, uint32_t wanted);
uint32_t cvx_collect(const cvx_view *view, cvx_scratch *scratch, uint32_t slot, uint32_t layer,
                     uint32_t count, uint32_t *fresh);
void cvx_mark(cvx_scratch *scratch, uint32_t slot);
int cvx_walk_allowed(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch,
                     uint32_t count, uint64_t start, uint32_t layer, uint32_t ef, uint32_t width,
                     const uint64_t *allow, uint64_t limit, double share);
uint32_t cvx_search_allowed(const cvx_view *view, cvx_scratch *scratch, const cvx_query *query,
                            uint32_t count, uint32_t entry, uint32_t k, uint32_t ef,
                            const uint64_t *allow, cvx_answer *answers);
void cvx_visit_begin(cvx_scratch *scratch, uint32_t count);
void cvx_visit_end(cvx_scratch *scratch);
uint64_t cvx_descend(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch,
                     uint32_t count, uint32_t entry, uint32_t above);
/// Leaves sorted candidates in `scratch->pool`: the `ef` nearest it met, whose edges it followed, and
/// up to `room` of those behind them, which it measured on its way.
void cvx_walk(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch, uint32_t count,
              uint64_t start, uint32_t layer, uint32_t ef, uint32_t room);
/// The same for many candidates, nearly all of which are followed in the end whatever their order;
/// those at the end of the list are not.
void cvx_walk_wide(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch,
                   uint32_t count, uint64_t start, uint32_t layer, uint32_t ef);
/// `cvx_walk` in layer 0 of a graph that holds removed rows: they are followed, and not among the
/// candidates. Zero where so many are around that `cvx_walk_allowed` finds more.
int cvx_walk_past(const cvx_view *view, const cvx_query *query, cvx_scratch *scratch,
                  uint32_t count, uint64_t start, uint32_t ef, uint32_t room);

#endif
