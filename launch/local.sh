#!/usr/bin/env bash
# Trains on all GPUs of this machine; never falls back to the CPU by itself.
#
#   ./launch/local.sh --config configs/mae_vit_b16_imagenet.py --workdir runs/mae
#   PLATFORM=cpu ./launch/local.sh ...    on the CPU, when that is what you want
#   ./launch/local.sh --dry_run ...       prints what it would run
#
# The arguments are those of `jaxssl train`. PYTHON=.venv/bin/python by default.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/dry_run.sh
if [ "${1:-}" = --dry_run ]; then
  dry_run=1
  shift
fi

platform=${PLATFORM:-cuda}
python=${PYTHON:-.venv/bin/python}
[ $# -gt 0 ] || stop "give the arguments of jaxssl train"
if [ "$dry_run" = 0 ] && ! JAX_PLATFORMS=$platform "$python" -c \
  'import jax; jax.devices()' 2> /dev/null; then
  stop "JAX finds no $platform device. Drivers: nvidia-smi; JAX:\
 pip install 'jaxssl[cuda]'; for the CPU: PLATFORM=cpu"
fi
run env JAX_PLATFORMS="$platform" "$python" -m jaxssl train "$@"
