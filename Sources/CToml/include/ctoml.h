// toml++ behind a C interface: a document is walked, every key and value with its line and column.
#ifndef KFM_CTOML_H
#define KFM_CTOML_H

#include <stddef.h>
#include <stdint.h>

enum {
  KFM_TOML_TABLE_BEGIN,
  KFM_TOML_TABLE_END,
  KFM_TOML_ARRAY_BEGIN,
  KFM_TOML_ARRAY_END,
  KFM_TOML_STRING,
  KFM_TOML_INTEGER,
  KFM_TOML_FLOAT,
  KFM_TOML_BOOLEAN,
  KFM_TOML_DATE_TIME,
};

/// One node of the document, valid during the visit only. Lines and columns count from 1; 0 is
/// unknown.
typedef struct {
  int kind;
  /// Null for an item of an array and for the document itself.
  const char *key;
  size_t key_length;
  uint32_t key_line;
  uint32_t line;
  uint32_t column;
  const char *string;
  size_t string_length;
  int64_t integer;
  double number;
} kfm_toml_node;

typedef struct {
  uint32_t line;
  uint32_t column;
  char message[256];
} kfm_toml_error;

typedef void (*kfm_toml_visitor)(void *context, const kfm_toml_node *node);

/// Parses `text` and, when all of it is TOML 1.0, visits it depth first; members of a table come in
/// no particular order. Returns 1, or 0 with `error` filled and nothing visited.
#ifdef __cplusplus
extern "C"
#endif
int kfm_toml_walk(const char *text, size_t length, kfm_toml_visitor visitor, void *context,
                  kfm_toml_error *error);

#endif
