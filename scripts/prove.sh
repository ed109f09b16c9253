#!/usr/bin/env bash
# The proofs of the log in full: rows `name value bar pass|FAIL`, hours of them.
#
#   scripts/prove.sh [part ...]    parts: simulated kill power serve calls slow teeth (all)
#
# ROUNDS scales the lives of `kill` and `power` (500), POINTS the crash points of the simulated disk (a
# million), SEED repeats a run.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

rounds=${ROUNDS:-500}
seed=${SEED:-$RANDOM}
parts=("$@")
[ $# -gt 0 ] || parts=(simulated kill power serve calls slow teeth)
kfm=$root/.build/release/kfm
rows=$(mktemp)
trap 'rm -f "$rows"' EXIT

install_packages "${build_packages[@]}" "${python_packages[@]}" "${judge_packages[@]}"
scripts/build.sh --tests

crash() { python3 Tests/Instruments/crash.py "$@" --kfm "$kfm" --seed "$seed"; }

# Runs something that prints rows; a failure without a row becomes one.
part() {
  local name=$1 status=0
  shift
  say "$name"
  "$@" > >(tee -a "$rows") || status=$?
  [ $status = 77 ] || [ $status = 0 ] || echo "${name}_exit $status 0 FAIL" | tee -a "$rows"
}

# Runs something that must find a fault.
finds() {
  local name=$1 status=0
  shift
  "$@" >/dev/null 2>&1 || status=$?
  case $status in
    77) echo "finds_$name skipped" ;;
    0) echo "finds_$name 0 1 FAIL" ;;
    *) echo "finds_$name 1 1 pass" ;;
  esac | tee -a "$rows"
}

simulated() {
  KFM_PROVE=1 KFM_PROVE_SEED="$seed" KFM_PROVE_POINTS="${POINTS:-1000000}" KFM_TEST_SEEDS=2000 \
    env -u SWIFT_DETERMINISTIC_HASHING swift test -c release --skip-build --disable-xctest \
    --filter "^LogBrokerTests\.($1)" 2>&1 |
    grep -E '^[a-z][A-Za-z0-9_]* [^ ]+ [^ ]+ (pass|FAIL)$|recorded an issue'
}

for name in "${parts[@]}"; do
  case $name in
    simulated)
      part segments simulated 'SegmentDamageTests|DamageTests|PackedSegmentTests|FailingCallTests'
      part model simulated PollModelTests
      part consumers python3 Tests/Instruments/consumers.py --kfm "$kfm"
      part power_loss simulated PowerLossTests
      ;;
    kill)
      part kill crash kill --rounds "$rounds"
      part kill_epoll crash kill --rounds "$((rounds / 5))" --io epoll
      part kill_replicated crash kill --rounds "$((rounds / 5))" --durability replicated
      ;;
    power)
      part power crash power --rounds "$rounds"
      part power_epoll crash power --rounds "$((rounds / 5))" --io epoll
      part power_replicated crash power --rounds "$((rounds / 5))" --durability replicated
      part sqlite crash sqlite --rounds "$((rounds / 5))"
      ;;
    serve) part serve crash serve --rounds "$((rounds / 5))" ;;
    calls) part calls crash calls --step 1 ;;
    slow) part slow crash slow ;;
    teeth)
      finds unsafe_sqlite crash sqlite --rounds 24 --unsafe
      finds lying_syncs crash power --rounds 24 --lie
      ;;
    *) die "there is no part '$name'" ;;
  esac
done
say "seed $seed"
echo "$(grep -c ' pass$' "$rows" || true) rows pass, $(grep -c ' FAIL$' "$rows" || true) fail"
! grep -q ' FAIL$' "$rows"
