# Sourced by the scripts beside it: makes .venv and installs into it.

install_jaxssl() {
  local python=${PYTHON:-python3}
  if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "jaxssl needs Python 3.11 or newer; $python is" \
      "$("$python" --version 2>&1). Set PYTHON=python3.12, for example." >&2
    exit 2
  fi
  [ -x .venv/bin/python ] || "$python" -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check \
    --editable "$@"
}

# XLA's compiler for GPUs, alone: of "jaxssl[cuda]", 1.4 instead of 5 GiB. JAX
# asks cuDNN for its version; nothing else of it is used.
install_gpu_compiler() {
  local version
  version=$(.venv/bin/python -c 'import jaxlib; print(jaxlib.__version__)')
  .venv/bin/python -m pip install --quiet --disable-pip-version-check \
    --no-deps "jax-cuda13-plugin==$version" "jax-cuda13-pjrt==$version" \
    'nvidia-cuda-nvcc==13.5.*' 'nvidia-cudnn-cu13==9.28.*'
}
