// JSON text (RFC 8259) by blocks of 64 bytes: finding members, checking whole documents, and the
// inside of strings. Swift cannot attach target features to one function; C can.
//
// Nothing here allocates, keeps state or reads outside the given bytes, which may be anything.
#ifndef CJSON_H
#define CJSON_H

#include <stddef.h>
#include <stdint.h>

/// Instruction sets that have kernels of their own, narrowest first.
enum {
  CJSON_PORTABLE = 0,
  CJSON_SSE2 = 1,
  CJSON_AVX2 = 2,
  /// AVX-512 with byte permutation and compression (VBMI, VBMI2).
  CJSON_AVX512 = 3,
};

/// The widest set that this processor and kernel can run.
int cjson_level(void);

enum {
  /// Names of one table, and bytes of one name.
  CJSON_NAMES_MAX = 24,
  CJSON_NAME_BYTES_MAX = 16,
  /// Containers inside each other that are valid; as many as the bits of the stack.
  CJSON_DEPTH_MAX = 64,
};

/// Bytes [start, end) of a text; `end` is 0 for what was not found.
typedef struct cjson_range {
  uint32_t start;
  uint32_t end;
} cjson_range;

/// What was found of the names of one table, by their place in the list it was made of.
typedef struct cjson_found {
  /// The last one is where the values of other members go.
  cjson_range at[CJSON_NAMES_MAX + 1];
  /// How many members have a name of the table, repeated ones included, and how many have not.
  uint32_t named, others;
} cjson_found;

/// Names of members that are looked for. Made by `cjson_names_make`: a multiplier under which no
/// two of them meet in `place`, so that one comparison tells whether a name is among them.
typedef struct cjson_names {
  uint64_t words[CJSON_NAMES_MAX + 1][2];
  uint64_t multiplier;
  /// The name at a place; an empty place has the one behind the last, which equals no name.
  uint8_t place[64];
} cjson_names;

/// Makes a table of `count` different names without zero bytes. 0 when there are more, or longer
/// ones, than a table takes.
int cjson_names_make(cjson_names *names, const char *const *list, size_t count);

/// Finds members of the object at the beginning of `bytes`: of each name in the table the first
/// member's value, in `found`, with its quotes or brackets. Names are compared as they are written:
/// one with an escape is another name. Values are skipped by strings and balanced brackets; they
/// are not checked, nor is what follows the object. 0 when the bytes are no such object; `found`
/// then holds what came before the damage. Texts of 4 GiB and more are no object.
///
/// It takes what a byte-by-byte reader takes (`cjson_find_reference`), range for range: where a
/// backslash outside a string would make blocks and bytes differ, the reader takes over.
int cjson_find(const cjson_names *names, const void *bytes, size_t length, cjson_found *found);

/// The same by one set's kernel. `level` must not be above `cjson_level()`.
int cjson_find_at(int level, const cjson_names *names, const void *bytes, size_t length,
                  cjson_found *found);

/// The same a byte at a time: the definition of what the kernels do.
int cjson_find_reference(const cjson_names *names, const void *bytes, size_t length,
                         cjson_found *found);

/// Whether the bytes are one JSON text: strictly RFC 8259, UTF-8, no lone surrogate by escape, at
/// most `CJSON_DEPTH_MAX` containers deep, no number beyond the range of a double. The same name
/// twice is no fault here.
int cjson_validate(const void *bytes, size_t length);
int cjson_validate_at(int level, const void *bytes, size_t length);

/// How many bytes at the beginning can stand in a JSON string as they are: up to the first quote,
/// backslash or control character.
size_t cjson_plain_prefix(const void *bytes, size_t length);
size_t cjson_plain_prefix_at(int level, const void *bytes, size_t length);

/// The length of the value at the beginning of the bytes, as `cjson_find` skips it; 0 without one.
size_t cjson_value_end(const void *bytes, size_t length);
size_t cjson_value_end_at(int level, const void *bytes, size_t length);
size_t cjson_value_end_reference(const void *bytes, size_t length);

/// Whether the bytes are well-formed UTF-8.
int cjson_is_utf8(const void *bytes, size_t length);
int cjson_is_utf8_at(int level, const void *bytes, size_t length);

/// Whether the 26 characters are a ULID, as `cjson_ulid` reads it.
int cjson_is_ulid(const void *text);

/// Reads the 26 characters of a ULID (Crockford's base 32, either case): 0 when they are none.
int cjson_ulid(const void *text, uint64_t *high, uint64_t *low);

/// Whether text has a form: as many bytes, each what the form's byte stands for. `0` is a digit, `h`
/// a lower-case hexadecimal digit, `o` a digit below 8, `B` a character of Crockford's base 32 in
/// upper case; every other byte stands for itself. At most 64 bytes.
int cjson_has_form(const void *text, size_t length, const char *form, size_t form_length);

/// The most frequent forms: a ULID in upper case (26 bytes), 32 lower-case hexadecimal digits, and
/// `0000-00-00T00:00:00.000000Z` (27 bytes).
int cjson_is_plain_ulid(const void *text);
int cjson_is_hex32(const void *text);
int cjson_is_time27(const void *text);

/// Whether what was found makes an event: the first six values are its id (a ULID), type, version,
/// time, trace id (32 characters) and payload (an object), all there and of these kinds.
int cjson_is_event(const void *bytes, const cjson_found *found);

/// The name of an event's type with its major version, `^[A-Z][A-Za-z0-9]*\.v[1-9][0-9]*$`, and
/// `^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$`.
int cjson_is_type_name(const void *text, size_t length);
int cjson_is_version(const void *text, size_t length);

/// Whether every byte is a letter, a digit or one of the others.
int cjson_is_word(const void *text, size_t length, const char *others);

#endif
