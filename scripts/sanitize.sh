#!/usr/bin/env bash
# What runs on several threads, or lends buffers, under ThreadSanitizer and AddressSanitizer: the
# loop's tests (posts and wake-ups, side threads, leases, detached sockets, cancellation) and the
# vector index while it is changed and searched. Only the modules they need are built, each way in a
# folder of its own (.build-sanitize). Prints rows `name value bar pass|FAIL`.
#
#   scripts/sanitize.sh [thread|address ...]
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

install_packages "${build_packages[@]}"
package=.build-sanitize
mkdir -p "$package"
ln -sfn ../Sources "$package/Sources"
ln -sfn ../Tests "$package/Tests"
{
  cat Package.swift
  cat <<'SWIFT'

var kept: Set<String> = ["UringIOTests", "VectorIndexTests"]
var before = 0
while before != kept.count {
  before = kept.count
  for target in package.targets where kept.contains(target.name) {
    for case .byNameItem(let name, _) in target.dependencies { kept.insert(name) }
  }
}
package.targets.removeAll { !kept.contains($0.name) }
package.products = []
SWIFT
} >"$package/Package.swift"

# Swift's crash handler trips the sanitizers. A report lets the run go on, so that all are seen.
export SWIFT_BACKTRACE=enable=no
export ASAN_OPTIONS=detect_leaks=0 TSAN_OPTIONS=halt_on_error=0:exitcode=66
export KFM_SOAK_OPERATIONS=${KFM_SOAK_OPERATIONS:-20000}
# Tests that measure with the processor's time, or fill the process's tables, are left out.
loop='UringIOTests\.(Await|Loop|Thread|Socket|SocketEdge|SocketProof|SendQueue|File|Poll|Connect|Fairness|Soak|BackPressure|TLS)Tests'
index='VectorIndexTests\.ChurnTests'

# Prints the row and remembers a failure.
failed=0
row() { # name value bar
  local verdict=pass
  [ "$2" = "$3" ] || { verdict=FAIL failed=1; }
  echo "$1 $2 $3 $verdict"
}

ways=("$@")
[ ${#ways[@]} -gt 0 ] || ways=(thread address)
for way in "${ways[@]}"; do
  say "building for the $way sanitizer"
  swift build --package-path "$package" --scratch-path "$package/$way" --build-tests \
    --sanitize="$way" >&2
  for part in loop index; do
    say "running the $part under the $way sanitizer"
    log="$package/$way-$part.log"
    status=0
    swift test --package-path "$package" --scratch-path "$package/$way" --sanitize="$way" \
      --skip-build --disable-xctest --filter "^${!part}/?" >"$log" 2>&1 || status=$?
    grep -aE '^. Test .* (recorded an issue|failed after)|Sanitizer' "$log" | cut -c 1-300 | head -n 40 >&2 || true
    row "${way}_sanitizer_reports_$part" "$(grep -acE '(WARNING|ERROR): [A-Za-z]+Sanitizer' "$log" || true)" 0
    row "${way}_sanitizer_tests_failed_$part" "$(grep -acE '^. Test .* failed after' "$log" || true)" 0
    row "${way}_sanitizer_exit_$part" "$status" 0
  done
done
exit "$failed"
