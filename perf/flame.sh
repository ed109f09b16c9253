#!/usr/bin/env bash
# Records a node under load and draws where its CPU time goes: perf/out/flame.svg.
#
#   perf/flame.sh [turns a second = 200] [seconds = 20]
#
# The node is one of its own, in a temporary directory, and answers with the extractive provider:
# what is measured is the node, not a model.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../scripts/lib.sh"

rate=${1:-200}
seconds=${2:-20}
kfm=$root/.build/release/kfm
out=$root/perf/out

[ -x "$kfm" ] || die "$kfm is missing; run make build"
command -v perf >/dev/null || install_packages linux-perf
command -v perf >/dev/null || die "perf is not installed"
mkdir -p "$out"
place=$(mktemp -d)
node=
finish() {
  [ -z "$node" ] || kill -TERM "$node" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$place"
}
trap finish EXIT

cat >"$place/config.toml" <<TOML
config_version = 1
[node]
data_dir = "$place/data"
[http]
listen = "127.0.0.1:0"
[packs]
dir = "$root/personalities"
[[providers]]
name = "quotes"
kind = "extractive"
models = ["passages"]
TOML

"$kfm" serve --config "$place/config.toml" 2>"$place/log" &
node=$!
address=
for ((tick = 0; tick < 100; tick++)); do
  address=$(sed -nE 's/.*"message":"listening".*"address":"([^"]*)".*|.*"address":"([^"]*)".*"message":"listening".*/\1\2/p' "$place/log")
  [ -z "$address" ] || break
  kill -0 "$node" 2>/dev/null || break
  sleep 0.1
done
[ -n "$address" ] || {
  tail -n 3 "$place/log" >&2
  die "the node did not listen"
}

say "recording $seconds s at $rate turns a second"
KFM_URL=http://$address "$kfm" load --rate "$rate" --duration "${seconds}s" >"$out/load.txt" &
load=$!
perf record -q -e cpu-clock -F 499 --call-graph fp -p "$node" -o "$place/perf.data" -- sleep "$seconds"
wait "$load" || say "the load ended with a failure; see perf/out/load.txt"

perf script -i "$place/perf.data" 2>/dev/null | swift demangle --simplified |
  python3 perf/flame.py --title "kfm, $rate turns a second" >"$out/flame.svg"
say "perf/out/flame.svg, and the load's report in perf/out/load.txt"
