#!/usr/bin/env bash
# The event loop's tests under ThreadSanitizer and AddressSanitizer: wake-ups from other threads,
# file threads, buffers and leases. Only the modules they need are built, each way in a folder of
# its own (.build-sanitize).
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

var kept: Set<String> = ["UringIOTests"]
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

# Swift's crash handler trips the sanitizers. Exit tests start the program again, which the
# sanitizers slow down; those that fill the process's tables of descriptors are left out.
export SWIFT_BACKTRACE=enable=no
export ASAN_OPTIONS=detect_leaks=0 TSAN_OPTIONS=halt_on_error=0:exitcode=66
ways=("$@")
[ ${#ways[@]} -gt 0 ] || ways=(thread address)
for way in "${ways[@]}"; do
  say "building for the $way sanitizer"
  swift build --package-path "$package" --scratch-path "$package/$way" --build-tests \
    --sanitize="$way"
  say "running under the $way sanitizer"
  KFM_SOAK_OPERATIONS=20000 swift test --package-path "$package" \
    --scratch-path "$package/$way" --sanitize="$way" --skip-build --disable-xctest \
    --filter '(Loop|Thread|Socket|SocketEdge|File|Poll|Connect|Fairness|Soak|BackPressure)Tests'
done
