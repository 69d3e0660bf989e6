"""The full matrix, a loop over its blocks and a ring of devices agree."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.errors import UserError
from jaxssl.ops import contrastive, negatives
from jaxssl.parallel import collectives, modes

ROWS, DIM = 16, 12


def _nt_xent(z1, z2, **options):
  return contrastive.nt_xent(z1, z2, temperature=0.1, **options)


def _info_nce(z1, z2, **options):
  return contrastive.info_nce(z1, z2, temperature=0.1, **options)


def _clip(z1, z2, **options):
  return contrastive.clip(z1, z2, scale=jnp.asarray(20.0), **options)


def _sigmoid(z1, z2, **options):
  scale, bias = jnp.asarray(10.0), jnp.asarray(-3.0)
  return contrastive.sigmoid(z1, z2, scale=scale, bias=bias, **options)


def _several(z2):
  """Three texts of each row."""
  return jnp.stack([z2, jnp.roll(z2, 1, axis=1), z2 * z2], axis=1)


def _clip_of_several(z1, z2, **options):
  return _clip(z1, _several(z2), **options)


def _sigmoid_of_several(z1, z2, **options):
  return _sigmoid(z1, _several(z2), **options)


LOSSES = {
  'nt_xent': _nt_xent,
  'info_nce': _info_nce,
  'clip': _clip,
  'sigmoid': _sigmoid,
  'clip_of_several': _clip_of_several,
  'sigmoid_of_several': _sigmoid_of_several,
}


def _embeddings():
  z1, noise = np.random.default_rng(0).normal(size=(2, ROWS, DIM))
  return z1.astype(np.float32), (z1 + 2 * noise).astype(np.float32)


@functools.partial(jax.jit, static_argnames=('name', 'chunk'))
def _value_and_grad(z1, z2, *, name, chunk=None):
  loss = functools.partial(LOSSES[name], chunk=chunk)
  return jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(z1, z2)


def _on_devices(name, devices, chunk):
  """Loss, top-1 and gradients as after the average over devices."""

  @functools.partial(jax.pmap, axis_name='d', devices=jax.devices()[:devices])
  def per_device(z1, z2):
    loss = functools.partial(LOSSES[name], chunk=chunk, axis_name='d')
    scalars, grads = jax.value_and_grad(loss, (0, 1), has_aux=True)(z1, z2)
    return collectives.pmean(scalars, 'd'), grads

  split = [z.reshape(devices, -1, DIM) for z in _embeddings()]
  scalars, grads = jax.device_get(per_device(*split))
  grads = [g.reshape(ROWS, DIM) / devices for g in grads]
  return jax.tree.map(lambda x: x[0], scalars), tuple(grads)


# A chunk that does not divide the rows, and one that holds them all.
@pytest.mark.parametrize('chunk', [3, 64])
@pytest.mark.parametrize('name', LOSSES)
def test_blocks_equal_the_full_matrix(name, chunk):
  z1, z2 = _embeddings()
  # float32, sums in another order.
  chex.assert_trees_all_close(
    _value_and_grad(z1, z2, name=name, chunk=chunk),
    _value_and_grad(z1, z2, name=name),
    atol=1e-6,
    rtol=1e-6,
  )


@pytest.mark.parametrize('devices', [1, 2, 8])
@pytest.mark.parametrize('name', LOSSES)
def test_a_ring_of_devices_equals_the_full_matrix(name, devices):
  expected = _value_and_grad(*_embeddings(), name=name)
  chex.assert_trees_all_close(
    _on_devices(name, devices, chunk=3), expected, atol=1e-6, rtol=1e-6
  )


@pytest.mark.parametrize('name', ['clip', 'sigmoid'])
def test_gathered_columns_equal_the_full_matrix(name):
  expected = _value_and_grad(*_embeddings(), name=name)
  chex.assert_trees_all_close(
    _on_devices(name, 8, chunk=None), expected, atol=1e-6, rtol=1e-6
  )


# Devices that share a state make a second axis, which the ring goes along too.
@pytest.mark.parametrize('fsdp', [1, 2, None])
@pytest.mark.parametrize('name', LOSSES)
def test_the_ring_of_a_compiled_step_equals_one_device(name, fsdp):
  mode = modes.make_mode('jit', num_devices=8, fsdp=fsdp)
  chex.assert_trees_all_close(
    _gradients_in_a_step(mode, name, chunk=3),
    _value_and_grad(*_embeddings(), name=name),
    atol=1e-6,
    rtol=1e-6,
  )


def _gradients_in_a_step(mode, name, chunk):
  """Loss, top-1 and gradients of a step, as its state and its metrics."""
  z1, z2 = _embeddings()
  state, metrics = _compiled(mode, name, chunk)(
    mode.put_state({'z1': jnp.asarray(z1), 'z2': jnp.asarray(z2)}),
    mode.put_batch({'rows': np.arange(ROWS)}),
  )
  return mode.fetch((metrics, (state['z1'], state['z2'])))


def _compiled(mode, name, chunk):
  def step(state, batch):
    z1, z2 = (state[view][batch['rows']] for view in ('z1', 'z2'))
    metrics, grads = _value_and_grad(z1, z2, name=name, chunk=chunk)
    return dict(zip(('z1', 'z2'), grads, strict=True)), metrics

  return mode.compile(step)


@pytest.mark.parametrize('name', ['clip', 'nt_xent'])
def test_no_device_of_a_compiled_step_holds_the_columns_of_all(name):
  mode = modes.make_mode('jit', num_devices=8)
  z = jax.ShapeDtypeStruct((ROWS, DIM), jnp.float32)

  def text(chunk):
    rows = mode.put_batch({'z1': np.zeros(z.shape), 'z2': np.zeros(z.shape)})

    def step(state, batch):
      metrics, _ = _value_and_grad(
        batch['z1'], batch['z2'], name=name, chunk=chunk
      )
      return state, metrics

    return mode.compile(step).lower({}, rows).compile().as_text()

  assert 'collective-permute(' in text(chunk=2)
  assert 'all-gather(' not in text(chunk=2)
  # Without blocks there is no ring to find.
  assert 'all-gather(' in text(chunk=None)


def test_scalars_have_the_gradients_of_the_full_matrix_on_several_devices():
  mode = modes.make_mode('jit', num_devices=8, fsdp=2)

  def step(state, batch):
    grads = jax.grad(_sigmoid_of, (0, 1))(
      state['scale'], state['bias'], batch['z1'], batch['z2'], 5
    )
    return state, grads

  z1, z2 = _embeddings()
  _, grads = mode.compile(step)(
    mode.put_state({'scale': jnp.asarray(10.0), 'bias': jnp.asarray(-3.0)}),
    mode.put_batch({'z1': z1, 'z2': z2}),
  )
  chex.assert_trees_all_close(
    mode.fetch(grads), _scalars_gradient(None), rtol=1e-5
  )


def _sigmoid_of(scale, bias, z1, z2, chunk):
  return contrastive.sigmoid(z1, z2, scale=scale, bias=bias, chunk=chunk)[0]


def _scalars_gradient(chunk):
  z1, z2 = _embeddings()
  scalars = jnp.asarray(10.0), jnp.asarray(-3.0)
  return jax.grad(_sigmoid_of, (0, 1))(*scalars, z1, z2, chunk)


def test_scale_and_bias_have_the_gradients_of_the_full_matrix():
  chex.assert_trees_all_close(
    _scalars_gradient(5), _scalars_gradient(None), rtol=1e-5
  )


def test_blocks_keep_no_matrix_for_the_backward_pass():
  z = jax.ShapeDtypeStruct((2048, DIM), jnp.float32)
  sizes = {
    chunk: _value_and_grad.lower(z, z, name='clip', chunk=chunk)
    .compile()
    .memory_analysis()
    .temp_size_in_bytes
    for chunk in (None, 32)
  }
  matrix = 4 * 2048**2
  assert sizes[None] > matrix
  assert sizes[32] < matrix / 8


@pytest.mark.parametrize('chunk', [None, 3])
def test_one_pair_has_no_negatives(chunk):
  z = jnp.ones((1, 4))
  (loss, _), grads = _value_and_grad(z, z, name='clip', chunk=chunk)
  chex.assert_trees_all_equal(
    (loss, grads), jax.tree.map(jnp.zeros_like, (loss, grads))
  )


def test_a_chunk_of_nothing_is_a_user_error():
  z = jnp.ones((2, 4))
  with pytest.raises(UserError, match='chunk is 0'):
    negatives.logsumexp(z, z, jnp.arange(2), chunk=0)
