#!/usr/bin/env bash
# Every test, in release: installs what they need, builds once, runs, and counts.
#
#   scripts/test.sh [arguments of `swift test`, such as --filter REGEX]
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

# Independent judges of our JSON Schemas and of our BM25, and what the benchmarks count with.
judge="jsonschema==4.23.0 numpy==2.4.6 rank-bm25==0.2.2"

install_packages "${build_packages[@]}" "${python_packages[@]}" "${judge_packages[@]}" \
  "${arm64_packages[@]}"
if [ "$(cat .venv-test/stamp 2>/dev/null)" != "$judge" ]; then
  say "installing $judge into .venv-test"
  rm -rf .venv-test
  python3 -m venv .venv-test
  # shellcheck disable=SC2086
  .venv-test/bin/python -m pip --disable-pip-version-check install --quiet $judge
  echo "$judge" >.venv-test/stamp
fi
scripts/model.sh
scripts/build.sh --tests

log=$(mktemp)
failures=$(mktemp)
trap 'rm -f "$log" "$failures"' EXIT
status=0
# Without deterministic hashing: a test must not depend on the order of a Set.
run_tests() {
  env -u SWIFT_DETERMINISTIC_HASHING swift test -c release --skip-build --disable-xctest "$@" 2>&1 |
    tee -a "$log" || status=$?
}
if [ $# -gt 0 ]; then
  run_tests "$@"
else
  # Apart: exit tests wait for any child of their process, and hang beside one that another test
  # has not collected yet.
  run_tests --filter '^UringIOTests\.'
  run_tests --skip '^UringIOTests\.'
  # Once more over epoll: what stands directly on the loop. (UringIOTests run both ways by themselves.)
  KFM_TEST_IO=epoll run_tests --filter '^(HTTPTests\.|LogBrokerTests\.EmbeddedBusDisk)'
fi
count() {
  grep -cE "^. Test ([^ ]+\(.*\)|\".*\")( with [0-9]+ test cases?)? $1 after " "$log" || true
}
passed=$(count passed)
failed=$(count failed)
# A runner that dies reports no failed test; that is one all the same.
if [ "$status" != 0 ] && [ "$failed" = 0 ]; then failed=1; fi
if [ "$passed" = 0 ] && [ "$status" = 0 ]; then
  say "no test ran"
  status=1
fi
# Kept for the end: whoever sees only the last lines must learn what failed, and why.
grep -aE "^. (Test|Suite) .* (recorded an issue|failed after)|^(error|fatal|Fatal)|\.swift:[0-9]+: Fatal" "$log" |
  grep -avE "^. Suite .* failed after" >"$failures" || true
if [ "$status" != 0 ] && [ ! -s "$failures" ]; then
  tail -n 30 "$log" >"$failures"
fi
if [ $# = 0 ]; then
  say "kernels of arm64, emulated"
  if Tests/Arm64/arm64.sh >"$log" 2>&1; then
    passed=$((passed + 1))
  else
    cat "$log"
    { echo "Tests/Arm64/arm64.sh:" && tail -n 15 "$log"; } >>"$failures"
    failed=$((failed + 1))
    status=1
  fi
fi
# The benchmarks on tiny inputs, so that they never rot; their figures say nothing here.
if [ $# = 0 ]; then
  say "benchmarks, on tiny inputs"
  for benchmark in "bench-turn.sh --scale 0.02" "bench-ring.sh --scale 0.02" \
    "bench-vec.sh --scale 0.02 --no-peers" "bench-envelope.sh --scale 0.02" \
    "bench-log.sh --scale 0.02"; do
    # shellcheck disable=SC2086
    if BENCH_PYTHON=.venv-test/bin/python Benchmarks/$benchmark --rounds 1 >"$log" 2>&1; then
      passed=$((passed + 1))
    else
      cat "$log"
      { echo "Benchmarks/$benchmark --rounds 1:" && tail -n 15 "$log"; } >>"$failures"
      failed=$((failed + 1))
      status=1
    fi
  done
fi
if [ "$status" != 0 ]; then
  say "what failed"
  cut -c 1-600 "$failures" | head -n 60
fi
echo "$passed passed, $failed failed"
exit "$status"
