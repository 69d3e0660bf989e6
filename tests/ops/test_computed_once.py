import re

import chex
import jax
import jax.numpy as jnp
import pytest

from jaxssl.ops.computed_once import computed_once
from jaxssl.parallel import modes


def _stream(x, kernels, keep):
  """A residual network: every block adds to what the blocks before it are."""
  for kernel in kernels:
    x = keep(jnp.maximum(x + x @ kernel, 0))
  return (x * x).mean()


def _most_inputs(blocks):
  """Returns how many arrays the widest fused loop of a step reads."""

  def step(state, batch, axis_name=None):
    del axis_name
    grads = jax.grad(_stream, 1)(batch, state, computed_once)
    return jax.tree.map(jnp.subtract, state, grads), {}

  state = [jax.ShapeDtypeStruct((64, 64), jnp.float32)] * blocks
  batch = jax.ShapeDtypeStruct((512, 64), jnp.float32)
  step = modes.make_mode('jit', num_devices=1).compile(step)
  text = step.lower(state, batch).compile().as_text()
  return max(len(i.split(',')) for i in re.findall(r' fusion\((.*?)\)', text))


def test_a_step_reads_no_block_before_the_last():
  assert _most_inputs(6) == _most_inputs(3)


@pytest.mark.parametrize('batched', [False, True])
def test_it_changes_no_number(batched):
  x = jax.random.normal(jax.random.key(0), (4, 8, 16))
  kernels = jax.random.normal(jax.random.key(1), (3, 16, 16))

  def run(keep):
    def one(x):
      return jax.value_and_grad(_stream, (0, 1))(x, kernels, keep)

    return jax.jit(jax.vmap(one) if batched else one)(x)

  # Loops that are fused otherwise round otherwise.
  chex.assert_trees_all_close(run(computed_once), run(lambda x: x), rtol=1e-5)
