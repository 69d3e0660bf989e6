import functools
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxssl
from jaxssl.parallel import collectives

PACKAGE = pathlib.Path(jaxssl.__file__).parent
ROWS = 16


def _pmap(fn, devices):
  mapped = jax.pmap(fn, axis_name='d', devices=jax.devices()[:devices])
  x = jnp.arange(ROWS * 3, dtype=jnp.float32).reshape(devices, -1, 3)
  return np.asarray(mapped(x)), np.asarray(x).reshape(ROWS, 3)


def test_gather_holds_all_rows_in_order():
  gathered, rows = _pmap(lambda x: collectives.gather(x, 'd'), 4)
  for on_device in gathered:
    np.testing.assert_array_equal(on_device, rows)


def test_gradient_of_gather_is_that_of_all_gather():
  weights = jnp.asarray(np.random.default_rng(0).normal(size=(ROWS, 3)))

  def gradient(gather, x):
    # Each device uses the gathered rows in its own way.
    own = 1.0 + jax.lax.axis_index('d')
    return jax.grad(lambda x: jnp.sum(own * weights * gather(x) ** 2))(x)

  ours = functools.partial(gradient, lambda x: collectives.gather(x, 'd'))
  theirs = functools.partial(
    gradient, lambda x: jax.lax.all_gather(x, 'd', tiled=True)
  )
  # The same sum over four devices, in another order.
  np.testing.assert_allclose(_pmap(ours, 4)[0], _pmap(theirs, 4)[0], rtol=1e-6)


def test_pmean_averages_over_devices():
  mean, rows = _pmap(lambda x: collectives.pmean(x, 'd'), 4)
  expected = rows.reshape(4, 4, 3).mean(0)
  np.testing.assert_allclose(mean, np.broadcast_to(expected, (4, 4, 3)))


@pytest.mark.parametrize('devices', [1, 4])
def test_axis_size_is_the_number_of_devices(devices):
  sizes, _ = _pmap(lambda x: x[:1] * 0 + collectives.axis_size('d'), devices)
  np.testing.assert_array_equal(sizes, devices)


def test_nothing_happens_in_the_global_view():
  x = jnp.ones((2, 3))
  assert collectives.pmean(x, None) is x
  assert collectives.gather(x, None) is x
  assert collectives.axis_size(None) == 1
  np.testing.assert_array_equal(collectives.row_ids(4, None), np.arange(4))


@pytest.mark.parametrize('devices', [1, 2, 8])
def test_row_keys_do_not_depend_on_the_number_of_devices(devices):
  key = jax.random.key(3)

  def keys(x):
    return jax.random.key_data(collectives.row_keys(key, len(x), 'd'))

  mapped, _ = _pmap(keys, devices)
  expected = jax.random.key_data(collectives.row_keys(key, ROWS, None))
  np.testing.assert_array_equal(mapped.reshape(ROWS, -1), expected)


def test_row_keys_differ():
  data = jax.random.key_data(collectives.row_keys(jax.random.key(0), 64, None))
  assert len(np.unique(data, axis=0)) == 64


COLLECTIVES = (
  r'\b(psum|pmean|pmax|pmin|ppermute|pshuffle|all_gather|all_to_all'
  r'|psum_scatter|axis_index|axis_size|pbroadcast|pvary)\b'
)


def _lines_with(pattern, files):
  return [
    f'{path.relative_to(PACKAGE)}:{number}'
    for path in files
    for number, line in enumerate(path.read_text().splitlines(), 1)
    if re.search(pattern, line)
  ]


def test_only_this_file_names_lax_collectives():
  files = [p for p in PACKAGE.rglob('*.py') if p.name != 'collectives.py']
  assert not _lines_with(rf'\blax\.{COLLECTIVES}', files)
  assert not _lines_with(rf'from jax\.lax import.*{COLLECTIVES}', files)


# `jax.make_mesh` makes explicit axes, under which Flax modules fail.
def test_only_our_helper_makes_meshes():
  files = list(PACKAGE.rglob('*.py'))
  assert not _lines_with(r'\bjax\.make_mesh\(', files)
  others = [p for p in files if p.name != 'modes.py']
  assert not _lines_with(r'(?<!make_)\bMesh\(', others)
