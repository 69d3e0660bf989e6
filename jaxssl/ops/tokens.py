"""Tokens: those at some places, and each on a scale of its own."""

import jax
import jax.numpy as jnp

# PyTorch's default for `F.layer_norm`.
_EPSILON = 1e-5


@jax.custom_vjp
def take_tokens(x: jax.Array, places: jax.Array) -> jax.Array:
  """Returns `out[i, j] = x[i, places[i, j]]`.

  The derived gradient is a scatter, which adds atomically on a GPU, in any
  order, and goes token by token on a TPU. Here it is a product with the places
  as one-hot rows, which is as exact: where each place occurs once, a sum of one
  number and zeros.

  Args:
    x: [b, N, D].
    places: int [b, K], at least 0 and below N.

  Returns:
    [b, K, D].
  """
  return jnp.take_along_axis(x, places[:, :, None], axis=1)


def _take_fwd(
  x: jax.Array, places: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  # Of `x`, only its length is needed, which no residual may hold by itself.
  return take_tokens(x, places), (places, jnp.zeros((x.shape[1], 0)))


def _take_bwd(
  residuals: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, None]:
  places, tokens = residuals
  hot = jax.nn.one_hot(places, len(tokens), dtype=gradient.dtype)
  return (
    jnp.einsum('bkn,bkd->bnd', hot, gradient, precision='highest'),
    None,
  )


take_tokens.defvjp(_take_fwd, _take_bwd)


def standardize(x: jax.Array) -> jax.Array:
  """Returns tokens of mean 0 and variance 1 over their numbers.

  A LayerNorm without scale and shift, which could shrink what is to be
  predicted: with it I-JEPA and data2vec make their targets.

  Args:
    x: [..., D].

  Returns:
    float32 [..., D].
  """
  x = x.astype(jnp.float32)
  return jax.nn.standardize(x, axis=-1, epsilon=_EPSILON)
