"""Checkpoints are read by Orbax's next interface, whatever becomes of ours."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
from orbax.checkpoint import v1
import pytest

from jaxssl.train.checkpoint import Checkpoints

WEIGHTS = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)


# It reads where each array lay from the checkpoint itself, and says so.
@pytest.mark.filterwarnings('ignore:Sharding info not provided:UserWarning')
def test_a_checkpoint_is_whole_for_the_v1_interface(tmp_path):
  state = {
    'weights': jnp.asarray(WEIGHTS),
    'half': jnp.full(3, 1 / 3, jnp.bfloat16),
    'step': jnp.int32(7),
    'key': jax.random.key(1),
  }
  with contextlib.closing(Checkpoints(tmp_path)) as checkpoints:
    checkpoints.save(7, state, meta={'data': 'fingerprint'})
    checkpoints.wait()
  read = v1.load_checkpointables(tmp_path / '7')
  assert read['meta']['data'] == 'fingerprint'
  assert read['state'].keys() == state.keys()
  np.testing.assert_array_equal(read['state']['weights'], WEIGHTS)
  assert read['state']['half'].dtype == jnp.bfloat16
  np.testing.assert_array_equal(read['state']['half'], state['half'])
  assert read['state']['step'] == 7
  # Keys are saved as their numbers.
  np.testing.assert_array_equal(
    read['state']['key'], jax.random.key_data(state['key'])
  )
