#!/usr/bin/env bash
# The vector index beside other libraries. They come from PyPI into Benchmarks/out, on demand;
# hnswlib is compiled here, for this machine. With --no-peers only numpy is needed.
set -euo pipefail
cd "$(dirname "$0")/.."

peers="numpy==2.4.6 hnswlib==0.8.0 faiss-cpu==1.15.1 scalable-vs==0.5.0 rabitqlib==0.7.1"
venv=Benchmarks/out/venv-vector
python=$venv/bin/python
if [[ " $* " == *" --no-peers "* ]] && [ -n "${BENCH_PYTHON:-}" ]; then
  python=$BENCH_PYTHON
elif [ "$(cat $venv/stamp 2>/dev/null)" != "$peers" ]; then
  rm -rf $venv
  mkdir -p Benchmarks/out
  python3 -m venv $venv
  pip="$python -m pip --disable-pip-version-check install --quiet"
  # shellcheck disable=SC2086
  $pip setuptools wheel pybind11 $(tr ' ' '\n' <<<"$peers" | grep -v hnswlib)
  # From source: a generic wheel would not use this processor.
  CXXFLAGS=-march=native $pip --no-build-isolation --no-binary hnswlib hnswlib==0.8.0
  echo "$peers" >$venv/stamp
fi
exec "$python" Benchmarks/vector/bench_vec.py "$@"
