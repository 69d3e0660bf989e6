"""A linear layer on patch features, trained on targets of pixels.

The head of DINOv2's evaluations (arXiv:2304.07193, section 7.4 and its configs
in mmsegmentation): BatchNorm, a 1 x 1 convolution, and bilinear interpolation
to the pixels. Nothing else is learned.
"""

from collections.abc import Callable, Iterable, Iterator
import functools
from typing import Any, NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxssl import errors
from jaxssl.evals.sliding import interpolation
from jaxssl.models.norm import BatchNorm

PyTree = Any
# Outputs of patches [b, h, w, K] and targets [b, S, S] to a number.
Loss = Callable[[jax.Array, jax.Array], jax.Array]


class DenseHead(nn.Module):
  """BatchNorm and a 1 x 1 convolution.

  Attributes:
    num_outputs: K.
  """

  num_outputs: int

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """Returns outputs [b, h, w, K] of features [b, h, w, D].

    Args:
      x: features.
      train: use the statistics of the batch.
    """
    x = BatchNorm(name='bn')(x, train=train)
    init = nn.initializers.normal(0.01)
    return nn.Dense(self.num_outputs, kernel_init=init, name='conv')(x)


class Training(NamedTuple):
  """How long and how fast the head learns.

  AdamW; the rate of step t of T is
  learning_rate · (1 - t / T) · min(1, t / W) with W warm-up steps, and all
  parameters decay.

  Attributes:
    num_steps: T.
    learning_rate: the largest one.
    weight_decay: of AdamW.
    warmup_steps: W.
    seed: seed of the first weights.
  """

  num_steps: int
  learning_rate: float
  weight_decay: float
  warmup_steps: int
  seed: int = 0

  def optimizer(self) -> optax.GradientTransformation:
    """Returns the optimizer."""
    warmup = max(self.warmup_steps, 1)

    def rate(step: Any) -> Any:
      rising = jnp.minimum(1.0, step / warmup) if self.warmup_steps else 1.0
      return self.learning_rate * (1 - step / self.num_steps) * rising

    return optax.adamw(rate, weight_decay=self.weight_decay)


def fit(
  batches: Iterator[tuple[jax.Array, np.ndarray]],
  *,
  num_outputs: int,
  loss: Loss,
  training: Training,
) -> PyTree:
  """Trains a head.

  Args:
    batches: features [b, h, w, D] and targets [b, S, S], endless.
    num_outputs: K.
    loss: what is made small.
    training: how long and how fast.

  Returns:
    Flax variables of `DenseHead`.

  Raises:
    jaxssl.errors.UserError: if the training diverges.
  """
  head, tx = DenseHead(num_outputs), training.optimizer()
  features, targets = next(batches)
  variables = head.init(
    jax.random.key(training.seed), features[:1], train=False
  )
  state = variables, tx.init(variables['params'])
  step = _step(head, tx, loss)
  for _ in range(training.num_steps):
    state = step(*state, features, targets)
    features, targets = next(batches)
  variables = jax.device_get(state[0])
  if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(variables)):
    raise errors.UserError(
      f'training at learning rate {training.learning_rate:g} diverged; give a '
      'smaller --learning_rate'
    )
  return variables


def _step(
  head: DenseHead, tx: optax.GradientTransformation, loss: Loss
) -> Callable[..., tuple[PyTree, PyTree]]:
  @functools.partial(jax.jit, donate_argnums=(0, 1))
  def step(
    variables: PyTree, state: PyTree, x: jax.Array, targets: jax.Array
  ) -> tuple[PyTree, PyTree]:
    def objective(params: PyTree) -> tuple[jax.Array, PyTree]:
      outputs, changed = head.apply(
        {**variables, 'params': params}, x, train=True, mutable=['batch_stats']
      )
      return loss(outputs, targets), changed

    params = variables['params']
    gradient, changed = jax.grad(objective, has_aux=True)(params)
    updates, state = tx.update(gradient, state, params)
    return {'params': optax.apply_updates(params, updates), **changed}, state

  return step


def to_pixels(outputs: jax.Array, size: int) -> jax.Array:
  """Returns outputs [b, h, w, K] at each pixel, [b, S, S, K]."""
  rows = jnp.asarray(interpolation(outputs.shape[1], size))
  columns = jnp.asarray(interpolation(outputs.shape[2], size))
  across = jnp.einsum('Ww,bhwk->bhWk', columns, outputs, precision='highest')
  return jnp.einsum('Hh,bhWk->bHWk', rows, across, precision='highest')


def predictor(
  encode: Callable[[Any], jax.Array], variables: PyTree, num_outputs: int
) -> Callable[[np.ndarray], jax.Array]:
  """Returns windows -> outputs [b, h, w, K], by an encoder and a head.

  Args:
    encode: uint8 [b, S, S, 3] -> features.
    variables: of the head.
    num_outputs: K.
  """
  # Flax's types leave open what `apply` returns.
  head: Any = DenseHead(num_outputs)

  @jax.jit
  def apply(variables: PyTree, x: jax.Array) -> jax.Array:
    return head.apply(variables, x, train=False)

  return lambda images: apply(variables, encode(images))


def encoded(
  encode: Callable[[Any], jax.Array],
  batches: Iterable[tuple[np.ndarray, np.ndarray]],
) -> Iterator[tuple[jax.Array, np.ndarray]]:
  """Yields features and targets of batches of windows."""
  for images, targets in batches:
    yield encode(images), targets
