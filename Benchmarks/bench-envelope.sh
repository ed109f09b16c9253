#!/usr/bin/env bash
# Events scanned and validated beside simdjson: builds its side and runs both.
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 Benchmarks/envelope/bench_envelope.py "$@"
