#!/usr/bin/env bash
# The kernels of arm64, compiled here for that processor and run by an emulator, once as a
# processor with products of bytes and once as one without. Needs clang, and from Debian
# libc6-dev-arm64-cross, gcc-aarch64-linux-gnu (for its linker and libgcc) and qemu-user. Where one
# of them is missing nothing is tested, which is said; with CI=true it is a failure.
set -euo pipefail
cd "$(dirname "$0")/../.."

for tool in clang aarch64-linux-gnu-gcc qemu-aarch64; do
  if ! command -v $tool >/dev/null; then
    echo "test-arm64: SKIPPED, no $tool (apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)"
    [ "${CI:-}" != true ]
    exit
  fi
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
clang --target=aarch64-linux-gnu -std=gnu11 -O2 -Wall -Wextra -Werror -static \
  -isystem /usr/aarch64-linux-gnu/include -ISources/CVector/include \
  Tests/Arm64/kernels.c Sources/CVector/*.c -lm -o "$work/kernels"
passed=0
for processor in max cortex-a53; do
  echo "as $processor:"
  qemu-aarch64 -cpu $processor "$work/kernels"
  passed=$((passed + 1))
done
echo "$passed passed, 0 failed"
