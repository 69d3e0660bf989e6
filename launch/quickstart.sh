#!/usr/bin/env bash
# Installs jaxssl into .venv, pre-trains SimCLR on 19 photographs on the CPU,
# evaluates it and draws pictures. Needs Python 3.11 or newer, no data, no GPU.
#
#   ./launch/quickstart.sh            results in runs/quickstart
#   WORKDIR=elsewhere PYTHON=python3.12 ./launch/quickstart.sh
set -euo pipefail
cd "$(dirname "$0")/.."
workdir=${WORKDIR:-runs/quickstart}

source launch/install.sh
install_jaxssl '.[all]'
export JAX_PLATFORMS=${JAX_PLATFORMS:-cpu}

.venv/bin/jaxssl train --config configs/quickstart.py --workdir "$workdir"
.venv/bin/jaxssl inspect --workdir "$workdir" \
  --out "$workdir/pictures/views.png" > "$workdir/inspect.txt"
.venv/bin/jaxssl plot --workdir "$workdir"
.venv/bin/jaxssl eval knn linear --workdir "$workdir"
