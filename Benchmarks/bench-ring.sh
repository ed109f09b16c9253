#!/usr/bin/env bash
# The benchmark of the event loop: builds its C floors and runs them beside the release program.
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 Benchmarks/ring/bench_ring.py --rounds "${ROUNDS:-9}" "$@"
