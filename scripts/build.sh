#!/usr/bin/env bash
# Builds the release program; with --tests, program and tests in the same build plan.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

install_packages "${build_packages[@]}"
require_swift
if [ "${1:-}" = --tests ]; then
  say "building program and tests"
  with_progress swift_build --build-tests
else
  say "building kfm (about two minutes the first time)"
  with_progress swift_build --product kfm
fi
# `kfm version` tells it; a source tree without its history has none.
git rev-parse HEAD >.build/release/COMMIT 2>/dev/null || rm -f .build/release/COMMIT
