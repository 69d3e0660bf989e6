import importlib.metadata
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.data import batch_shapes
from jaxssl.errors import UserError
from jaxssl.train import memory

GIB = 2**30


@pytest.fixture
def machine(monkeypatch):
  """Of 16 GiB, of which 8 are free."""
  monkeypatch.setattr(memory, 'host_bytes', lambda: (16 * GIB, 8 * GIB))


def test_this_machine():
  whole, free = memory.host_bytes()
  peak, _ = memory.peak_bytes()
  assert 0 < free <= whole
  assert peak <= whole


def test_a_container_has_its_limit(tmp_path, monkeypatch):
  whole, _ = memory.host_bytes()
  for text, expected in (('1073741824\n', GIB), ('max\n', whole)):
    (tmp_path / 'max').write_text(text)
    monkeypatch.setattr(memory, '_LIMITS', (tmp_path / 'max', tmp_path / 'no'))
    found, free = memory.host_bytes()
    assert found == expected
    assert free <= found


@pytest.mark.usefixtures('machine')
class TestBatch:
  # 256 pixels: 192 KiB a picture, and 4 batches: 3 GiB for 4096 rows.
  @staticmethod
  def _check(rows):
    memory.check_batch(batch_shapes(rows, image_size=256), prefetch=2)

  def test_fits(self, caplog):
    self._check(10_000)
    assert not caplog.records

  def test_needs_more_than_is_free(self, caplog):
    self._check(20_000)
    assert (
      '4 batches of 20000 rows in the input pipeline: 14.6 GiB of memory, and '
      'this machine or container has 8.0 GiB free just now; '
    ) in caplog.text

  def test_needs_more_than_there_is(self):
    with pytest.raises(UserError, match=r'187.5 GiB .* has 16.0 GiB') as error:
      self._check(256_000)
    assert '--batch_size 16384 may fit' in str(error.value)
    self._check(16_384)

  @pytest.mark.parametrize('rows', [1, 4])
  def test_not_even_one_row_fits(self, rows):
    with pytest.raises(UserError, match=r'has 16\.0 GiB') as error:
      memory.check_batch(batch_shapes(rows, image_size=200_000), prefetch=2)
    assert 'may fit' not in str(error.value)


@pytest.mark.usefixtures('machine')
def test_a_step_that_needs_more_than_there_is():
  def found(temp):
    return types.SimpleNamespace(
      argument_size_in_bytes=3 * GIB,
      output_size_in_bytes=2 * GIB,
      alias_size_in_bytes=2 * GIB,
      temp_size_in_bytes=temp,
    )

  memory.check_step(found(13 * GIB), 64)
  with pytest.raises(UserError, match=r'the step with a batch of 64: 17.0 GiB'):
    memory.check_step(found(14 * GIB), 64)


def test_the_compiler_says_what_a_step_needs():
  """Of a program that must keep two matrices: a product of what it makes."""

  def step(x):
    y = jnp.exp(x @ x.T)
    return jnp.sin(y @ y).max()

  x = np.ones((2048, 4), np.float32)
  found = jax.jit(step).lower(x).compile().memory_analysis()
  assert found.argument_size_in_bytes == x.nbytes
  # findings/jax_012_cpu_programs_have_no_scratch_memory.sh
  is_told = not importlib.metadata.version('jaxlib').startswith('0.12.')
  assert (found.temp_size_in_bytes >= 2 * 4 * 2048 * 2048) == is_told


def test_a_device_without_memory_is_told_in_one_line():
  text = 'RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nmore'
  with (
    pytest.raises(UserError, match='batch of 8 does not fit') as error,
    memory.told(8),
  ):
    raise jax.errors.JaxRuntimeError(text)
  assert 'more' not in str(error.value)
  with pytest.raises(jax.errors.JaxRuntimeError), memory.told(8):
    raise jax.errors.JaxRuntimeError('INTERNAL: something else')
