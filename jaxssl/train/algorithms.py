"""Optimizers of the papers, put together from optax."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxssl.ops.schedules import Schedule
from jaxssl.train.treatments import Treatment

PyTree = Any


def sgd(
  treatment: Treatment,
  learning_rate: Schedule,
  weight_decay: Schedule,
  *,
  momentum: float = 0.9,
  nesterov: bool = False,
) -> optax.GradientTransformation:
  """PyTorch's SGD: g += wd p; m = momentum m + g; p -= lr m.

  With `nesterov`, p -= lr (g + momentum m).

  Args:
    treatment: unused; part of every algorithm's signature.
    learning_rate: step -> learning rate.
    weight_decay: step -> weight decay.
    momentum: factor of the old momentum m.
    nesterov: whether the step looks ahead.
  """
  del treatment
  return optax.chain(
    # Coupled: the decay goes through the momentum, as a part of g.
    _add_decay(weight_decay),
    optax.trace(momentum, nesterov=nesterov),
    optax.scale_by_learning_rate(learning_rate),
  )


def adamw(
  treatment: Treatment,
  learning_rate: Schedule,
  weight_decay: Schedule,
  *,
  b1: float = 0.9,
  b2: float = 0.999,
  epsilon: float = 1e-8,
) -> optax.GradientTransformation:
  """PyTorch's AdamW: p *= 1 - lr wd, then the Adam step.

  Args:
    treatment: unused; part of every algorithm's signature.
    learning_rate: step -> learning rate.
    weight_decay: step -> weight decay.
    b1: decay of the mean of the gradients.
    b2: decay of the mean of their squares.
    epsilon: is added to the root of the latter.
  """
  del treatment
  return optax.chain(
    optax.scale_by_adam(b1, b2, epsilon),
    # Decoupled: behind the moments, which do not see it.
    _add_decay(weight_decay),
    optax.scale_by_learning_rate(learning_rate),
  )


def lars(
  treatment: Treatment,
  learning_rate: Schedule,
  weight_decay: Schedule,
  *,
  momentum: float = 0.9,
  trust_coefficient: float = 0.001,
) -> optax.GradientTransformation:
  """LARS of MoCo v3, MAE's probe, Barlow Twins, VICReg and BYOL.

    g += wd p;  g *= eta |p| / |g|;  m = momentum m + g;  p -= lr m

  The learning rate is applied *after* the momentum. The authors exclude
  parameters with ndim <= 1 from both decay and trust ratio
  (`exclude='ndim<=1'` of `make_optimizer`).

  Args:
    treatment: says which parameters have a trust ratio.
    learning_rate: step -> learning rate.
    weight_decay: step -> weight decay.
    momentum: factor of the old momentum m.
    trust_coefficient: eta.
  """
  return optax.chain(
    _add_decay(weight_decay),
    _trust_ratio(treatment, trust_coefficient),
    optax.trace(momentum),
    optax.scale_by_learning_rate(learning_rate),
  )


def lars_simclr(
  treatment: Treatment,
  learning_rate: Schedule,
  weight_decay: Schedule,
  *,
  momentum: float = 0.9,
  trust_coefficient: float = 0.001,
) -> optax.GradientTransformation:
  """LARS of SimCLR's TensorFlow code; `optax.lars` has this order too.

    g += wd p;  g *= eta |p| / |g|;  m = momentum m + lr g;  p -= m

  The learning rate is *inside* the momentum, which differs from `lars` only
  while the learning rate changes.

  Args:
    treatment: says which parameters have a trust ratio.
    learning_rate: step -> learning rate.
    weight_decay: step -> weight decay.
    momentum: factor of the old momentum m.
    trust_coefficient: eta.
  """
  return optax.chain(
    _add_decay(weight_decay),
    _trust_ratio(treatment, trust_coefficient),
    optax.scale_by_learning_rate(learning_rate),
    optax.trace(momentum),
  )


def larc(
  treatment: Treatment,
  learning_rate: Schedule,
  weight_decay: Schedule,
  *,
  momentum: float = 0.9,
  trust_coefficient: float = 0.001,
  epsilon: float = 1e-8,
  clip: bool = False,
) -> optax.GradientTransformation:
  """Apex's LARC, of SwAV and SimSiam's linear probe; solo-learn's LARS.

    a = eta |p| / (|g| + wd |p| + eps);  g = a (g + wd p)

  then SGD with momentum. Where |p| or |g| is zero, g stays as it is. The
  authors apply it to every parameter (`exclude='none'`) without `clip`;
  solo-learn excludes biases and scales (`'ndim<=1'`), with `clip`.

  Args:
    treatment: says which parameters are scaled.
    learning_rate: step -> learning rate.
    weight_decay: step -> weight decay.
    momentum: factor of the old momentum m.
    trust_coefficient: eta.
    epsilon: eps.
    clip: min(a / lr, 1) instead of a, so that no step is longer than SGD's.
  """
  rate = learning_rate if clip else None
  scale = (
    _larc_scale(weight_decay, trust_coefficient, epsilon, rate)
    if treatment.trust
    else _add_decay(weight_decay)
  )
  return optax.chain(
    scale,
    optax.trace(momentum),
    optax.scale_by_learning_rate(learning_rate),
  )


OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {
  'sgd': sgd,
  'adamw': adamw,
  'lars': lars,
  'lars_simclr': lars_simclr,
  'larc': larc,
}


class _CountState(NamedTuple):
  # As in `SkipState`.
  count: jax.Array  # pyright: ignore[reportIncompatibleMethodOverride]


def _counting(
  apply: Callable[[jax.Array, PyTree, PyTree], PyTree],
) -> optax.GradientTransformation:
  """A transformation that depends on the step only: `apply(k, g, p)`."""

  def init(params: PyTree) -> _CountState:
    del params
    return _CountState(jnp.zeros((), jnp.int32))

  def update(
    updates: PyTree, state: PyTree, params: PyTree | None = None
  ) -> tuple[PyTree, _CountState]:
    count = optax.safe_increment(state.count)
    return apply(state.count, updates, params), _CountState(jnp.asarray(count))

  return optax.GradientTransformation(init, update)


def _add_decay(weight_decay: Schedule) -> optax.GradientTransformation:
  def apply(step: jax.Array, updates: PyTree, params: PyTree) -> PyTree:
    decay = weight_decay(step)
    return jax.tree.map(lambda g, p: g + decay * p, updates, params)

  return _counting(apply)


def _larc_scale(
  weight_decay: Schedule,
  trust_coefficient: float,
  epsilon: float,
  clip_rate: Schedule | None,
) -> optax.GradientTransformation:
  def apply(step: jax.Array, updates: PyTree, params: PyTree) -> PyTree:
    decay = weight_decay(step)
    # A rate of 0, the first of a warm-up, leaves nothing to move.
    rate = None if clip_rate is None else jnp.maximum(clip_rate(step), 1e-30)

    def scale(g: jax.Array, p: jax.Array) -> jax.Array:
      p_norm, g_norm = jnp.linalg.norm(p), jnp.linalg.norm(g)
      # The sum of the norms of g and wd p; `lars` has the norm of their sum.
      ratio = trust_coefficient * p_norm / (g_norm + decay * p_norm + epsilon)
      if rate is not None:
        ratio = jnp.minimum(ratio / rate, 1)
      defined = (p_norm != 0) & (g_norm != 0)
      return jnp.where(defined, ratio * (g + decay * p), g)

    return jax.tree.map(scale, updates, params)

  return _counting(apply)


def _trust_ratio(
  treatment: Treatment, trust_coefficient: float
) -> optax.GradientTransformation:
  if not treatment.trust:
    return optax.identity()
  # 1, not eta, where |p| or |g| is 0, as in the authors' code.
  return optax.scale_by_trust_ratio(trust_coefficient=trust_coefficient)
