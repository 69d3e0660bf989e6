#!/usr/bin/env bash
# Installs what the tests need into .venv and runs them on the CPU.
#
#   ./launch/test.sh                  all tests
#   ./launch/test.sh --fast           without those that take longest, and those
#                                     that compare with other libraries; must
#                                     come first
#   ./launch/test.sh tests/models -k vit     arguments go to pytest
#   REFERENCE=1 ./launch/test.sh      also installs PyTorch, timm, torchvision,
#                                     lightly, transformers, open_clip and ONNX,
#                                     which some tests compare with, and XLA's
#                                     compiler for GPUs (1.4 GiB, most of it
#                                     cuDNN; no GPU is needed)
#   ./launch/test.sh --full           also every method on 1, 2 and 8 devices, jit
#                                     and pmap, and runs of several processes
set -euo pipefail
cd "$(dirname "$0")/.."

source launch/install.sh
install_jaxssl '.[test]'

if [ "${REFERENCE:-0}" = 1 ]; then
  # torch first and alone: other packages would pull in a CUDA build. The rest
  # without their requirements, for the same reason.
  .venv/bin/python -m pip install --quiet --disable-pip-version-check \
    torch==2.13.0
  .venv/bin/python -m pip install --quiet --disable-pip-version-check \
    --no-deps torchvision==0.28.0 timm==1.0.31 lightly==1.6.0 \
    transformers==5.23.0 open_clip_torch==3.3.0 jax2onnx==0.17.1
  .venv/bin/python -m pip install --quiet --disable-pip-version-check \
    pyyaml tqdm requests huggingface_hub lightly_utils aenum \
    pytorch_lightning torchmetrics hydra-core einops \
    regex tokenizers safetensors typer onnx onnx-ir onnxruntime
  install_gpu_compiler
fi

if [ "${1:-}" = --fast ]; then
  set -- --fast -m 'not reference' "${@:2}"
fi

.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/basedpyright --pythonpath .venv/bin/python
# conftest.py puts the groups that take longest first.
exec .venv/bin/python -m pytest -n "${WORKERS:-2}" --dist loadgroup \
  --no-loadscope-reorder "$@"
