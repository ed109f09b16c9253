#!/usr/bin/env bash
# The log's benchmark: builds the C floors and runs them beside the release program.
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 Benchmarks/log/bench_log.py "$@"
