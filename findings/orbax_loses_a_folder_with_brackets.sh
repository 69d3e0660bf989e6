#!/usr/bin/env bash
# orbax-checkpoint 0.12.8, etils 1.15.0, jax 0.10.2 (CPU, Python 3.11), seen on
# 2026-11-28.
#
# In a folder whose path holds `[1]`, a checkpoint is saved without an error and
# cannot be restored: its arrays are not there.
#
# One would guess: a path is a path.
# Seen: Orbax looks for what each process has written by a pattern that begins
# with the folder's own name, through etils, which does not escape it. Nothing
# matches, so nothing is put together, and a warning is all that is said.
#
# Exits with 0 as long as this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --target "$folder/site" jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 \
  orbax-checkpoint==0.12.8 etils==1.15.0
cd "$folder"
JAX_PLATFORMS=cpu PYTHONPATH=$folder/site "${PYTHON:-python3}" - <<'PY'
import logging
import pathlib

import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

logging.disable(logging.CRITICAL)
state = {'weights': jnp.arange(6.0)}


def survives(name):
  target = pathlib.Path(name, 'checkpoint').absolute()
  with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(target, state)
    checkpointer.wait_until_finished()
    try:
      found = checkpointer.restore(target, state)['weights']
    except Exception as error:
      print(f'{name}: {type(error).__name__}: {str(error).splitlines()[0][:100]}')
      return False
  return bool(np.array_equal(found, state['weights']))


assert survives('run1')
raise SystemExit(0 if not survives('run[1]') else 1)
PY
