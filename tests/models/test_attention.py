import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.models import attention


@pytest.mark.parametrize(
  ('dtype', 'length', 'width', 'expected'),
  [
    (jnp.bfloat16, 197, 64, True),
    (jnp.float16, 197, 128, True),
    (jnp.float32, 197, 64, False),
    (jnp.bfloat16, 197, 60, False),
    (jnp.bfloat16, 197, 136, False),
    (jnp.bfloat16, 1, 64, False),
  ],
)
def test_cudnn_only_where_its_conditions_hold(dtype, length, width, expected):
  q = jax.ShapeDtypeStruct((2, length, 3, width), dtype)
  assert attention.fits_cudnn(q) == expected


def test_attend_equals_its_definition():
  rng = np.random.default_rng(0)
  q = rng.standard_normal((2, 3, 2, 4), np.float32)
  k, v = rng.standard_normal((2, 2, 5, 2, 4), np.float32)
  logits = np.einsum('bthd,bshd->bhts', q, k) / 2.0
  weights = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
  expected = np.einsum('bhts,bshd->bthd', weights, v).reshape(2, 3, 8)
  chex.assert_trees_all_close(attention.attend(q, k, v), expected, atol=1e-5)


@jax.custom_vjp
def spoil_gradient(x, real):
  del real
  return x


spoil_gradient.defvjp(
  lambda x, real: (x, real),
  lambda real, gradient: (jnp.where(real, gradient, jnp.nan), None),
)


def careless(q, k, v, bias=None, mask=None, *, causal, **lengths):
  """XLA's attention, with NaN where cuDNN may leave what it likes."""
  if lengths:
    rows = jnp.arange(q.shape[1])[None, :, None, None]
    ends = lengths['query_seq_lengths'][:, None, None, None]
    real = jnp.broadcast_to(rows, q.shape) < jnp.broadcast_to(ends, q.shape)
    q, k, v = (spoil_gradient(x, real) for x in (q, k, v))
  out = jax.nn.dot_product_attention(
    q, k, v, bias, mask, is_causal=causal, **lengths
  )
  return jnp.where(real, out, jnp.nan) if lengths else out


@pytest.mark.parametrize('extra', ['none', 'bias', 'mask', 'both', 'causal'])
@pytest.mark.parametrize('length', [197, 77, 37, 16])
def test_tokens_that_fill_a_group_change_nothing(length, extra):
  rng = np.random.default_rng(length)
  q, k, v = rng.standard_normal((3, 2, length, 2, 8), np.float32)
  weights = rng.standard_normal(q.shape, np.float32)
  bias = mask = None
  if extra in ('bias', 'both'):
    bias = rng.standard_normal((1, 2, length, length), np.float32)
  if extra in ('mask', 'both'):
    mask = np.ones((2, 1, 1, length), bool)
    mask[1, ..., -5:] = False
  kernel = functools.partial(careless, causal=extra == 'causal')

  def results(attend):
    def loss(q, k, v, bias):
      out = attend(q, k, v, bias, mask)
      return (out * weights).sum(), out

    places = (0, 1, 2) if bias is None else (0, 1, 2, 3)
    grad = jax.grad(loss, places, has_aux=True)
    return jax.jit(grad)(q, k, v, bias)

  filled = results(functools.partial(attention.in_groups, kernel))
  chex.assert_trees_all_close(filled, results(kernel), atol=1e-6, rtol=1e-5)


def test_a_kernel_sees_whole_groups_and_real_lengths():
  seen = {}

  def kernel(q, k, v, bias, mask, **lengths):
    seen.update(bias=bias, mask=mask, **lengths)
    seen['shapes'] = [x.shape for x in (q, k, v, bias, mask)]
    return q

  q = jnp.ones((2, 37, 3, 8), jnp.bfloat16)
  bias = jnp.ones((1, 3, 37, 37))
  mask = jnp.ones((2, 1, 1, 37), bool)
  assert attention.in_groups(kernel, q, q, q, bias, mask).shape == q.shape
  tokens = [(2, 40, 3, 8)] * 3
  assert seen['shapes'] == [*tokens, (1, 3, 40, 40), (2, 1, 40, 40)]
  assert seen['bias'].dtype == jnp.bfloat16
  assert seen['query_seq_lengths'].tolist() == [37, 37]
  assert seen['key_value_seq_lengths'].tolist() == [37, 37]


@pytest.mark.parametrize(('length', 'filled'), [(37, 38), (50, 50)])
def test_tokens_alone_are_filled_up_to_even_numbers(length, filled):
  seen = {}

  def kernel(q, k, v, bias, mask, **lengths):
    seen.update(lengths=lengths, shapes={x.shape for x in (q, k, v)})
    return q

  q = jnp.ones((2, length, 3, 8), jnp.bfloat16)
  assert attention.in_groups(kernel, q, q, q).shape == q.shape
  assert seen['shapes'] == {(2, filled, 3, 8)}
  assert bool(seen['lengths']) == (length != filled)
