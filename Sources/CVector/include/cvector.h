// Arithmetic of vectors in the widest registers of the processor at hand, the walks over the
// graph of a vector index, and the checksum of index files. Swift cannot attach target features
// to one function; C can.
#ifndef CVECTOR_H
#define CVECTOR_H

#include <stddef.h>
#include <stdint.h>

/// Instruction sets that have kernels of their own, narrowest first; a processor has those of its
/// family, and what is asked for of the other's is the baseline.
enum {
  CVECTOR_BASELINE = 0,
  CVECTOR_AVX2_FMA = 1,
  CVECTOR_AVX512F = 2,
  CVECTOR_AVX512_VNNI = 3,
  CVECTOR_NEON = 4,
  /// With the products of bytes that ARMv8.2 brought (ASIMDDP).
  CVECTOR_NEON_DOT = 5,
};

/// The widest set that this processor and kernel can run.
int cvector_level(void);

/// Uses no set above `level` from now on: for tests and for comparisons.
void cvector_limit_level(int level);

/// Σ aᵢ·bᵢ over `count` floats of any alignment, with the widest kernel.
float cvector_dot_f32(const float *a, const float *b, size_t count);

/// Σ (aᵢ − bᵢ)² over `count` floats of any alignment, with the widest kernel.
float cvector_l2_f32(const float *a, const float *b, size_t count);

/// The same sums by the kernel of one set, so that each can be tested. `level` must not be above
/// `cvector_level()`.
float cvector_dot_f32_at(int level, const float *a, const float *b, size_t count);
float cvector_l2_f32_at(int level, const float *a, const float *b, size_t count);

/// CRC-32C (Castagnoli) of `length` bytes, continuing from `seed` (0 to begin).
uint32_t cvector_crc32c(uint32_t seed, const void *data, size_t length);

/// Sets bit i of `words` for each byte i that is not 0, and clears the others up to the end of the
/// last word.
void cvx_pack_bytes(const uint8_t *bytes, size_t count, uint64_t *words);

/// The table version of `cvector_crc32c`: the reference of the fast path.
uint32_t cvector_crc32c_portable(uint32_t seed, const void *data, size_t length);

// MARK: Codes

/// How distances are told apart; the values of `Metric` in Swift.
enum { CVX_COSINE = 0, CVX_INNER_PRODUCT = 1, CVX_L2 = 2 };

/// Bytes of a row's codes: the dimension rounded up to whole cache lines.
size_t cvx_stride(size_t dimension);

/// Turns `vector` in place by a fixed orthogonal map that spreads outlying components over all
/// of them (random signs, Walsh-Hadamard transforms and butterflies); lengths and products stay.
/// The same bits on every processor. Below 16 dimensions nothing changes.
void cvx_rotate(float *vector, size_t dimension);

/// The inverse of `cvx_rotate`.
void cvx_rotate_back(float *vector, size_t dimension);

/// What a row's codes are multiplied by, and what its distance begins with.
typedef struct {
  float scale;
  float bias;
} cvx_factor;

/// Codes of a rotated, centred row y: 8 bits a component, of its own scale, plus 128; and, where
/// `residuals` is not null, 8 more bits. y ≈ scale · (code − 128 + residual / 256).
cvx_factor cvx_encode(const float *y, const float *mean, size_t dimension, int metric,
                      uint8_t *codes, int8_t *residuals);

/// The same by the instructions of `level`.
cvx_factor cvx_encode_at(int level, const float *y, const float *mean, size_t dimension,
                         int metric, uint8_t *codes, int8_t *residuals);

/// What a query's codes are multiplied by, their sum, and that of their squares.
typedef struct {
  float scale;
  int32_t sum;
  int32_t squares;
} cvx_coded;

/// By the instructions of `level`, takes the mean off a rotated query, and its codes.
cvx_coded cvx_encode_query(int level, float *y, const float *mean, size_t dimension,
                           int8_t *codes);

/// The row that the codes stand for, not yet rotated back.
void cvx_decode(const uint8_t *codes, const int8_t *residuals, float scale, const float *mean,
                size_t dimension, float *vector);

/// A query as the kernels take it.
typedef struct {
  /// `stride` codes, 64-byte aligned, zeros behind the last.
  const int8_t *codes;
  /// What scale · (sum of code products) is multiplied by.
  float scale;
  /// 128 · Σ codes: what the rows' offset of 128 adds to each sum.
  int32_t offset;
  /// Added to each distance.
  float constant;
  /// The rotated, centred query itself; null for a row of the index.
  const float *exact;
  /// The same with zeros up to the stride, where distances go by all bits of the rows; else null.
  const float *fine;
  /// Whether walks go by the rows' nibbles.
  uint32_t by_nibbles;
} cvx_query;

/// By the kernel of `level`, Σ (yᵢ − zᵢ)² of a row and a query, or Σ yᵢ·zᵢ.
float cvx_exact_sum(int level, const uint8_t *codes, const int8_t *residuals, float scale,
                    const float *z, size_t dimension, int is_product);

/// The same, the same on every level: distances by all bits that a graph is made by. `row` has
/// `stride` components.
float cvx_fine_sum(int level, const uint8_t *codes, const int8_t *residuals, float scale,
                   const float *row, size_t stride, int is_product);

/// The most bytes of a row's codes.
#define CVX_STRIDE_MAX 4096

/// By the kernel of `level`, Σ codeᵢ·queryᵢ of each of at most 64 rows of `stride` codes.
void cvx_code_sums(int level, const uint8_t *codes, size_t stride, uint32_t count,
                   const int8_t *query, int32_t *sums);

/// The same by the kernel for rows that come from memory.
void cvx_scan_sums(int level, const uint8_t *codes, size_t stride, uint32_t count,
                   const int8_t *query, int32_t *sums);

/// Bytes of a row's nibbles in whole cache lines; below 128 codes they would be as long as these.
uint32_t cvx_nibble_stride(uint32_t stride);

/// By the kernel of `level`, the places of the bits that are set among the first `count`, from those
/// of `*word` on, in any order within 512; as many as `slots`, which holds 2,056, has room for, and
/// `*word` is where the next ones begin.
uint32_t cvx_list_bits(int level, uint64_t *bits, uint32_t count, uint32_t *word, uint32_t *slots);

/// Removed rows that a walk keeps in mind at most.
#define CVX_ASIDE_MAX 64

/// The nearest removed rows that a walk met and has not followed yet, sorted.
typedef struct {
  uint64_t keys[CVX_ASIDE_MAX];
  uint32_t count;
} cvx_aside;

/// By the kernel of `level`, puts measured rows, at most 64, among the `held` nearest of a sorted
/// list: a word a row, its distance (as an ordered number) above its slot above a bit to mark it.
/// At most `ef` stay; there is room for `ef` rounded up to a multiple of 8. Where `aside` is not null,
/// rows without a bit in `live` go there instead. Returns the lowest place in the list that one of
/// them took, or a number above all.
uint32_t cvx_offer_rows(int level, uint64_t *list, uint32_t *held, uint32_t ef,
                        const uint32_t *slots, const float *distances, uint32_t count,
                        uint64_t *live, cvx_aside *aside);

/// By the kernel of `level`, of a list of at most 256 slots those below `count` whose bit is not set
/// yet, each once; it is set then. `fresh` has room for 257.
uint32_t cvx_unseen_slots(int level, uint64_t *visited, const uint32_t *edges, uint32_t degree,
                          uint32_t count, uint32_t *fresh);

// MARK: Graph

/// The arrays of an index by slot. Readers hold a view; the arrays grow in place, in address
/// space that was reserved for them.
typedef struct {
  uint32_t dimension;
  uint32_t stride;
  uint32_t metric;
  /// Words of an edge list, in layer 0 and above.
  uint32_t degree;
  uint32_t upper_degree;
  uint32_t ef_construction;
  uint8_t *codes;
  int8_t *residuals;
  cvx_factor *factors;
  /// The codes' upper halves and what their distances begin with, or null: `cvx_shorten`.
  uint8_t *nibbles;
  cvx_factor *nibble_factors;
  uint32_t nibble_stride;
  /// Whether walks go by them.
  uint32_t by_nibbles;
  uint32_t *edges;
  uint8_t *levels;
  uint32_t *upper_starts;
  uint32_t *upper_edges;
  uint64_t *live;
  uint64_t *ids;
  float *mean;
  /// Slots in use below, the entry point above: they change together.
  uint64_t head;
  uint32_t live_count;
  /// Removed rows that edges may still lead to.
  uint32_t removed_count;
  /// Whether each row's id is its slot, so that a bitmap of ids is one of slots.
  uint32_t ids_are_slots;
  /// Σ meanᵢ².
  float mean_square;
} cvx_view;

/// By the kernel of `level`, distances of at most 64 rows by their nibbles; `out` has room for four
/// more.
void cvx_nibble_rows(int level, const cvx_view *view, const cvx_query *query,
                     const uint32_t *slots, uint32_t count, float *out);

/// Makes a row's nibbles of its codes, where the view has room for them.
void cvx_shorten(const cvx_view *view, uint32_t slot);

/// An answer: a slot and its distance.
typedef struct {
  uint32_t slot;
  float distance;
} cvx_answer;

/// An answer as the caller sees it.
typedef struct {
  uint64_t id;
  float distance;
} cvx_result;

/// The memory of one search or insertion at a time.
typedef struct {
  uint64_t *visited;
  size_t visited_words;
  uint32_t *touched;
  uint32_t touched_count;
  uint64_t *pool;
  uint32_t pool_count;
  uint32_t pool_capacity;
  uint64_t *found;
  uint32_t found_count;
  uint32_t found_capacity;
  cvx_answer *answers;
  uint32_t answers_capacity;
  /// The answers of the last `cvx_find`.
  cvx_result *results;
  uint32_t results_capacity;
  uint64_t *allow;
  size_t allow_words;
  int8_t *query_codes;
  int8_t *row_codes;
  float *query_exact;
  /// A query and a row of the index where distances go by all bits.
  float *query_fine;
  float *row_fine;
  uint64_t evaluations;
} cvx_scratch;

cvx_scratch *cvx_scratch_create(uint32_t dimension);
void cvx_scratch_destroy(cvx_scratch *scratch);

/// Rotates, centres and encodes a query that was checked (and normalised under cosine).
void cvx_prepare(const cvx_view *view, cvx_scratch *scratch, const float *vector,
                 cvx_query *query);

/// The k nearest of the first `count` slots by a walk with `ef` candidates, nearest first; where
/// `allow` is not null, of those whose bit is set. Never fewer than k or all there are: where the
/// walk finds fewer, or would cost more, every row is looked at.
uint32_t cvx_search(const cvx_view *view, cvx_scratch *scratch, const cvx_query *query,
                    uint32_t k, uint32_t ef, const uint64_t *allow, uint32_t count,
                    cvx_answer *answers);

/// `cvx_search` of the checked vector in `scratch->query_exact`; the answers, under their ids, are
/// in `scratch->results`.
uint32_t cvx_find(const cvx_view *view, cvx_scratch *scratch, uint32_t k, uint32_t ef,
                  const uint64_t *allow, uint32_t count);

/// Queries of a batch that are answered together at most.
#define CVX_TILE 32

/// The memory of a tile of queries.
typedef struct cvx_batch cvx_batch;

cvx_batch *cvx_batch_create(uint32_t dimension);
void cvx_batch_destroy(cvx_batch *batch);

/// Where the checked vector of a query goes.
float *cvx_batch_vector(cvx_batch *batch, uint32_t number);

/// Whether so many queries at once are cheaper by looking at every row.
int cvx_is_tiled(const cvx_view *view, uint32_t count, uint32_t queries, uint32_t k, uint32_t ef);

/// `cvx_find` of up to CVX_TILE queries, whose vectors are in `batch`: query i's answers, of which
/// there are counts[i], from results[i · k] on. They are those of `cvx_find`, or nearer ones where
/// every row was looked at.
void cvx_find_batch(const cvx_view *view, cvx_batch *batch, cvx_scratch *scratch,
                    uint32_t queries, uint32_t k, uint32_t ef, uint32_t count,
                    cvx_result *results, uint32_t *counts);

/// The rows of an exact index: Float32, and codes of the same rows, rotated, which tell which of
/// them need no look. `view` has codes, factors and live bits of as many rows.
typedef struct {
  cvx_view view;
  const float *rows;
  size_t row_stride;
  uint32_t count;
  /// The largest distance of a row from its codes, and the largest length of a row, or more.
  float error_max;
  float length_max;
} cvx_exact_rows;

/// Encodes a row, rotated in place, into `slot`; what it may widen are the bounds.
void cvx_exact_encode(cvx_exact_rows *rows, uint32_t slot, float *vector);

/// The k nearest rows of each of up to CVX_TILE queries, whose checked vectors are in `batch`, as
/// if every row had been compared in Float32; query i's from answers[i · k] on. A query whose codes
/// do not prove that is left out: counts[i] is UINT32_MAX then.
void cvx_exact_tile(const cvx_exact_rows *rows, cvx_batch *batch, cvx_scratch *scratch,
                    uint32_t queries, uint32_t k, cvx_answer *answers, uint32_t *counts);

/// Room for a bit a slot.
uint64_t *cvx_reserve_allow(cvx_scratch *scratch, uint32_t count);

/// The k nearest by looking at every row.
uint32_t cvx_scan(const cvx_view *view, cvx_scratch *scratch, const cvx_query *query,
                  uint32_t count, const uint64_t *allow, uint32_t k, cvx_answer *answers);

/// The slots whose ids are in a bitmap of ids; room for `count` bits.
void cvx_allow_ids(const cvx_view *view, uint32_t count, const uint64_t *words, size_t word_count,
                   uint64_t *allow);

/// Live rows of the first `count` slots whose bit is set; without `allow` all of them.
uint32_t cvx_passing(const cvx_view *view, uint32_t count, const uint64_t *allow);

/// The slots whose ids are at least `first` and less than `first + span`; where `words` is not null,
/// of those the ones whose bit `id - first` is set. Room for `count` bits.
void cvx_allow_range(const cvx_view *view, uint32_t count, uint64_t first, uint64_t span,
                     const uint64_t *words, size_t word_count, uint64_t *allow);

/// The rows of a group that come before one of it. Each is connected as if they were there already,
/// so that rows that come together and lie together find each other.
typedef struct {
  const uint32_t *slots;
  uint32_t count;
} cvx_peers;

/// Chooses the edges of `slot`, which has codes and no edges yet, against the graph as it is and
/// its peers, which have codes: `chosen` gets view->degree slots of layer 0, then upper_degree of
/// each layer above up to its level; CVX_NONE (all ones) behind the last of each.
void cvx_plan(const cvx_view *view, cvx_scratch *scratch, uint32_t count, uint32_t entry,
              uint32_t slot, cvx_peers peers, uint32_t *chosen);

/// Where a row lies: the same number, or numbers near each other, for rows that lie together.
uint64_t cvx_region(const cvx_view *view, cvx_scratch *scratch, uint32_t count, uint32_t entry,
                    uint32_t slot);

/// Gives `target` edges to `sources` in `layer`; a list that is too short for all is chosen anew.
void cvx_link(const cvx_view *view, cvx_scratch *scratch, uint32_t target, uint32_t layer,
              const uint32_t *sources, uint32_t count);

/// Replaces the edges of `slot` that lead to `dead` slots (a bit each below `dead_count`) by edges
/// to where those lead.
void cvx_repair(const cvx_view *view, cvx_scratch *scratch, uint32_t slot, const uint64_t *dead,
                uint32_t dead_count, uint32_t count);

// MARK: Writers and readers at once

/// A reader's memory, and the epoch it entered in (0: outside).
typedef struct cvx_reader {
  uint64_t epoch;
  uint32_t is_taken;
  cvx_scratch *scratch;
  struct cvx_reader *next;
} cvx_reader;

typedef struct cvx_readers cvx_readers;

cvx_readers *cvx_readers_create(uint32_t dimension);
void cvx_readers_destroy(cvx_readers *readers);

/// Claims a reader's memory; what is reachable now stays until it leaves.
cvx_reader *cvx_reader_enter(cvx_readers *readers);
void cvx_reader_leave(cvx_reader *reader);

/// Begins a new epoch; what was unlinked before is free once `oldest` exceeds the result.
uint64_t cvx_readers_advance(cvx_readers *readers);
uint64_t cvx_readers_oldest(cvx_readers *readers);

/// Has the system make the page that begins at `start`, whatever is written there meanwhile.
void cvx_touch_page(void *start);

cvx_view *cvx_current(cvx_view *const *place);
void cvx_publish(cvx_view **place, cvx_view *view);

uint32_t cvx_count(const cvx_view *view);
uint32_t cvx_entry(const cvx_view *view);
void cvx_set_head(cvx_view *view, uint32_t count, uint32_t entry);
uint32_t cvx_live_count(const cvx_view *view);
uint32_t cvx_removed_count(const cvx_view *view);
void cvx_set_removed_count(cvx_view *view, uint32_t count);
int cvx_live(const cvx_view *view, uint32_t slot);
/// The bit of a slot; it must change.
void cvx_set_live(cvx_view *view, uint32_t slot, int is_live);
void cvx_set_ids_are_slots(cvx_view *view, int are_slots);
/// Whether walks by nibbles find what walks by codes find, but for a few answers of a hundred: tried
/// for a few of the first `count` rows, which are spread over all.
int cvx_are_nibbles_sharp(const cvx_view *view, cvx_scratch *scratch, uint32_t count,
                          uint32_t entry);
/// Whether walks go by nibbles, which the view has then.
void cvx_set_by_nibbles(cvx_view *view, int by_nibbles);
uint32_t cvx_by_nibbles(const cvx_view *view);
void cvx_clear_edges(cvx_view *view, uint32_t slot);
void cvx_set_edges(cvx_view *view, uint32_t slot, uint32_t layer, const uint32_t *chosen);

/// What is wrong with a vector.
enum { CVX_GOOD = 0, CVX_NOT_FINITE = 1, CVX_TOO_LARGE = 2, CVX_ZERO = 3 };

/// Checks a vector and copies it to `out`, of length 1 under cosine.
int cvx_check(const float *vector, size_t dimension, int metric, float *out);

/// The same by the instructions of `level`.
int cvx_check_at(int level, const float *vector, size_t dimension, int metric, float *out);

#endif
