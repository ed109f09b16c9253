#!/usr/bin/env bash
# The turn benchmark: builds its C parts and runs it against the release node.
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 Benchmarks/turn/bench_turn.py --rounds "${ROUNDS:-9}" "$@"
