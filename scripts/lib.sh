# Shared by the scripts here: talking to the user, and Debian packages. Sourced, not run.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

# What the build needs, and bubblewrap, which the tools of packs run in.
build_packages=(
  g++ pkg-config liburing-dev libssl-dev libcurl4-openssl-dev libyaml-dev libxxhash-dev
  libzstd-dev libtomlplusplus-dev bubblewrap
)
# What the local model and the tests need in addition.
python_packages=(python3 python3-venv)
# Independent judges that the tests ask, and what benchmarks stand beside: promtool for /metrics,
# openssl for TLS, simdjson, and libfuse for the file system that loses what was not synced
# (Tests/Instruments).
judge_packages=(prometheus libfuse3-dev fuse3 libsimdjson-dev)
# What compiles the kernels of arm64 on another processor, and runs them (Tests/Arm64).
arm64_packages=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
if [ ! -t 2 ] || [ -n "${NO_COLOR:-}" ]; then say() { printf '==> %s\n' "$*" >&2; }; fi

die() {
  say "$*"
  exit 1
}

# Prints those of the given Debian packages that are not installed.
missing_packages() {
  local name
  for name in "$@"; do
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || echo "$name"
  done
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    say "this needs root, and there is no sudo: $*"
    return 1
  fi
}

# Installs what is missing of the given packages, and says before what and how much that is.
install_packages() {
  command -v dpkg-query >/dev/null || {
    say "this is no Debian system; make sure that these, or their like, are installed: $*"
    return 0
  }
  local missing
  mapfile -t missing < <(missing_packages "$@")
  [ ${#missing[@]} -gt 0 ] || return 0
  say "Debian packages to install: ${missing[*]}"
  # Without package lists the simulation fails, and so would the installation.
  local plan
  if ! plan=$(LC_ALL=C apt-get install --simulate --no-install-recommends "${missing[@]}" 2>&1); then
    as_root apt-get update
  fi
  plan=$(LC_ALL=C apt-get install --assume-no --no-install-recommends "${missing[@]}" 2>&1 || true)
  grep -E '^(Need to get|After this operation)' <<<"$plan" >&2 || true
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends "${missing[@]}" >&2
}

require_swift() {
  command -v swift >/dev/null || die "Swift is not installed; kfm needs Swift 6.3 in PATH"
  local version
  version=$(swift --version 2>/dev/null | grep -oE 'Swift version [0-9]+\.[0-9]+' | grep -oE '[0-9.]+')
  case "$version" in
    [0-5].* | 6.[012]) die "Swift $version is too old; kfm needs Swift 6.3" ;;
  esac
}

# `swift build` with deterministic hashing plans the same way every time, so nothing is compiled
# twice. The variable is for the build alone: a program started with it would hash predictably.
swift_build() { SWIFT_DETERMINISTIC_HASHING=1 swift build -c release "$@"; }

# Runs a long command with its output on the terminal, or with a dot every two seconds.
with_progress() {
  if [ -t 2 ]; then
    "$@"
    return
  fi
  local log status=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 &
  local pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 2
    printf . >&2
  done
  wait "$pid" || status=$?
  printf '\n' >&2
  [ "$status" = 0 ] || cat "$log" >&2
  rm -f "$log"
  return "$status"
}
