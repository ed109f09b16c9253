#!/bin/sh
# Literal text search over the pack's knowledge/.
#
# stdin:  one JSON object {"text": string, "limit"?: integer}, as the manifest's input_schema says
# stdout: "N lines in M documents …", then one "document:line: text" per match
# exit:   0 answered (finding nothing is an answer), 2 bad arguments, 3 the jail lacks something
#
# Runs in a jail that has /usr, the pack as its working directory, and nothing else: no /etc (so
# `awk`, a link through /etc/alternatives, does not resolve there), and no environment at all.
set -eu
PATH=/usr/bin:/bin
LC_ALL=C # bytes, not characters: the same result with every awk, and UTF-8 passes through whole
export PATH LC_ALL

fail() {
  echo "find_text: $2" >&2
  exit "$1"
}

awk=
for name in mawk gawk original-awk; do
  if command -v "$name" >/dev/null 2>&1; then
    awk=$name
    break
  fi
done
[ -n "$awk" ] || fail 3 "neither mawk nor gawk is installed"
[ -d knowledge ] || fail 3 "no knowledge/ in the working directory"

# The arguments arrive on stdin, the list of documents as a file: the program reads both.
list=/tmp/find_text.$$
trap 'rm -f "$list"' EXIT
find knowledge -type f -name '*.md' | sort >"$list"

"$awk" -v list="$list" '
# ---- the arguments: a strict reader for one flat JSON object ----

function bad(what) {
  print "find_text: " what | "cat 1>&2"
  close("cat 1>&2")
  failed = 2
  exit 2
}

function skip_space() {
  while (at <= length(input) && index(" \t\r\n", substr(input, at, 1)) > 0) at++
}

function expect(character) {
  skip_space()
  if (substr(input, at, 1) != character) bad("expected " character " at byte " at " of the arguments")
  at++
}

function hex_digits(start,    i, digit, value) {
  value = 0
  for (i = start; i < start + 4; i++) {
    digit = index("0123456789abcdef", tolower(substr(input, i, 1)))
    if (i > length(input) || digit == 0) bad("a \\u escape needs four hexadecimal digits")
    value = value * 16 + digit - 1
  }
  return value
}

function utf8(code) {
  if (code < 128) return sprintf("%c", code)
  if (code < 2048) return sprintf("%c%c", 192 + int(code / 64), 128 + code % 64)
  if (code < 65536)
    return sprintf("%c%c%c", 224 + int(code / 4096), 128 + int(code / 64) % 64, 128 + code % 64)
  return sprintf("%c%c%c%c", 240 + int(code / 262144), 128 + int(code / 4096) % 64, \
    128 + int(code / 64) % 64, 128 + code % 64)
}

# `at` stands on the backslash; returns the character and moves past the escape.
function read_escape(    letter, place, code, low) {
  letter = substr(input, at + 1, 1)
  at += 2
  if (letter == "u") {
    code = hex_digits(at)
    at += 4
    if (code == 0) bad("a NUL character is not text")
    if (code >= 56320 && code <= 57343) bad("a lone surrogate is not a character")
    if (code >= 55296 && code <= 56319) {
      if (substr(input, at, 2) != "\\u") bad("a lone surrogate is not a character")
      low = hex_digits(at + 2)
      if (low < 56320 || low > 57343) bad("a lone surrogate is not a character")
      at += 6
      code = 65536 + (code - 55296) * 1024 + low - 56320
    }
    return utf8(code)
  }
  place = index("\"\\/bfnrt", letter)
  if (letter == "" || place == 0) bad("unknown escape in a string")
  return substr("\"\\/\b\f\n\r\t", place, 1)
}

function read_string(    value, character) {
  expect("\"")
  value = ""
  while (at <= length(input)) {
    character = substr(input, at, 1)
    if (character == "\"") { at++; return value }
    if (character < " ") bad("a control character inside a string must be escaped")
    if (character == "\\") value = value read_escape()
    else { value = value character; at++ }
  }
  bad("a string has no end")
}

function read_integer(    rest) {
  rest = substr(input, at)
  if (!match(rest, /^-?(0|[1-9][0-9]*)/)) bad("limit must be an integer")
  at += RLENGTH
  if (index(".eE", substr(input, at, 1)) > 0 && at <= length(input)) bad("limit must be an integer")
  return substr(rest, 1, RLENGTH) + 0
}

function read_arguments(    name) {
  at = 1
  expect("{")
  skip_space()
  if (substr(input, at, 1) == "}") at++
  else while (1) {
    name = read_string()
    if (name != "text" && name != "limit") bad("unknown argument \"" name "\"; expected text, limit")
    if (name in given) bad("argument \"" name "\" is given twice")
    given[name] = 1
    expect(":")
    skip_space()
    if (name == "limit") limit = read_integer()
    else if (substr(input, at, 1) == "\"") text = read_string()
    else bad("text must be a string")
    skip_space()
    if (substr(input, at, 1) != ",") { expect("}"); break }
    at++
  }
  skip_space()
  if (at <= length(input)) bad("something follows the object")
  if (!("text" in given) || text == "") bad("argument \"text\" is missing or empty")
  if (length(text) > 800) bad("text is longer than 800 bytes")
  if (limit < 1 || limit > 50) bad("limit must be between 1 and 50")
}

# ---- the search ----

# A line of a document is shown whole up to this many bytes, cut between characters.
function clip(line,    end) {
  if (length(line) <= 200) return line
  end = 200
  while (end > 0 && substr(line, end + 1, 1) >= "\200" && substr(line, end + 1, 1) < "\300") end--
  return substr(line, 1, end) " ..."
}

function search(    wanted, path, line, number, found) {
  wanted = tolower(text)
  while ((getline path < list) > 0) {
    number = 0
    found = 0
    while ((getline line < path) > 0) {
      number++
      if (index(tolower(line), wanted) == 0) continue
      found = 1
      lines++
      if (lines <= limit)
        shown = shown substr(path, length("knowledge/") + 1) ":" number ": " clip(line) "\n"
    }
    close(path)
    documents += found
  }
}

BEGIN { limit = 8; lines = 0; documents = 0 }

{
  input = input (NR > 1 ? "\n" : "") $0
  if (length(input) > 65536) bad("the arguments are longer than 64 KiB")
}

END {
  if (failed) exit failed
  read_arguments()
  search()
  if (lines == 0) { print "no match for \"" text "\""; exit 0 }
  printf "%d line%s in %d document%s", lines, (lines == 1 ? "" : "s"), documents, \
    (documents == 1 ? "" : "s")
  printf "%s\n%s", (lines > limit ? " (first " limit " shown)" : ""), shown
}
'
