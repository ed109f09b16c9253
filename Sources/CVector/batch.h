// What the files of batches share.
#ifndef CVECTOR_BATCH_H
#define CVECTOR_BATCH_H

#include "graph.h"

/// The most candidates a query of a tile keeps: a longer list costs more than a walk saves.
#define CVX_TILED_MAX 1024

/// Queries that rows are compared with while they are in the cache, and what each has found.
typedef struct {
  const cvx_query *queries;
  uint32_t count;
  /// Candidates a query keeps.
  uint32_t wanted;
  /// `wanted + 1` a query.
  uint64_t *nearest;
  uint32_t found[CVX_TILE];
} cvx_tile;

/// The memory of a tile.
struct cvx_batch {
  uint32_t dimension;
  size_t stride;
  cvx_query queries[CVX_TILE];
  /// Codes and components of the tile's queries, one after the other.
  int8_t *codes;
  float *exact;
  /// Of each query, the nearest rows by their codes.
  uint64_t *nearest;
  size_t nearest_room;
};

/// Encodes the query of that number, and leaves its components rotated.
void cvx_batch_prepare(const cvx_view *view, cvx_batch *batch, cvx_scratch *scratch,
                       uint32_t number);

/// A tile of the first `queries`, with room for `wanted` candidates each.
cvx_tile cvx_batch_tile(cvx_batch *batch, uint32_t queries, uint32_t wanted);

/// Leaves the nearest live rows of the first `count`, by their codes, with each query.
void cvx_scan_tile(const cvx_view *view, cvx_tile *tile, uint32_t count);

#endif
