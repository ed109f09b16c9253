#!/usr/bin/env bash
# From a clone to an answer: installs, builds, fetches the models, starts a node on
# 127.0.0.1:8080, asks one question, and stays up until ^C.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

question="Why does a log call fdatasync before it acknowledges?"
ready_seconds_max=120 # the local model loads in 3 to 15 seconds; a busy machine takes longer

scripts/build.sh
scripts/model.sh

kfm=$root/.build/release/kfm
log=$root/.build/node.log
# A configuration of the user's own decides by itself where its data is.
if [ ! -e config.toml ] && [ -z "${KFM_CONFIG:-}" ]; then
  export KFM_DATA_DIR=${KFM_DATA_DIR:-$root/data}
fi

"$kfm" serve 2>"$log" &
node=$!
stop() {
  kill -TERM "$node" 2>/dev/null || true
  wait "$node" 2>/dev/null || true
}
trap stop EXIT
trap 'exit 0' INT TERM

# The value of a string member in a JSON log line on stdin.
member() { sed -nE "s/.*\"$1\":\"([^\"]*)\".*/\1/p"; }

ended() {
  local code=0
  wait "$node" || code=$?
  trap - EXIT
  tail -n 5 "$log" >&2
  say "the node ended with exit code $code; its log is .build/node.log"
  exit "$code"
}

# GET on the node without any tool that may be missing: prints the status code.
http_status() {
  local host=${address%:*} port=${address##*:} line=
  { exec 3<>"/dev/tcp/$host/$port"; } 2>/dev/null || return 0
  printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$1" "$address" >&3
  read -r -t 5 line <&3 || true
  exec 3>&-
  line=${line#* }
  printf '%s' "${line%% *}"
}

say "starting the node"
address=
for ((tick = 0; tick < ready_seconds_max * 5; tick++)); do
  kill -0 "$node" 2>/dev/null || ended
  [ -n "$address" ] || address=$(grep -m1 '"message":"listening"' "$log" | member address || true)
  if [ -n "$address" ] && [ "$(http_status /health/ready)" = 200 ]; then break; fi
  if ((tick % 10 == 9)); then printf . >&2; fi
  sleep 0.2
done
((tick < 10)) || printf '\n' >&2
[ -n "$address" ] || die "the node did not listen within $ready_seconds_max s; see .build/node.log"
say "listening on http://$address; data in ${KFM_DATA_DIR:-the directory of your configuration}"
say "answers come from: $(grep -m1 '"message":"provider"' "$log" || echo 'see .build/node.log')"

say "kfm ask --personality archivist \"$question\""
KFM_URL=http://$address "$kfm" ask --personality archivist "$question" ||
  say "the sample question failed (exit code $?); the node stays up, see .build/node.log"

say "the node stays up until ^C; in another terminal:"
printf '    export KFM_URL=http://%s\n    %s ask "What is an Iggy consumer group?"\n' \
  "$address" .build/release/kfm >&2
code=0
wait "$node" || code=$?
trap - EXIT
exit "$code"
