"""The optimizer of a run: algorithm, rules by name, clipping.

The order of one update, as in the authors' PyTorch code:

  1. clip the gradients (`clip_norm` over all, or `clip_tensor_norm` each),
  2. leave out frozen parameters (they are *skipped*: no decay, no moments,
     their step count stands still),
  3. the algorithm, with each parameter's own learning rate and weight decay.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

import jax
import jax.numpy as jnp
import optax

from jaxssl.errors import unknown
from jaxssl.fields import Natural
from jaxssl.ops.schedules import Schedule
from jaxssl.train.algorithms import OPTIMIZERS
from jaxssl.train.skip_steps import skip_steps
from jaxssl.train.treatments import (
  FOREVER,
  Exclude,
  Treatment,
  check_rule,
  treatments,
)

PyTree = Any


def make_optimizer(
  *,
  name: str,
  learning_rate: Schedule,
  weight_decay: Schedule | float = 0.0,
  exclude: Exclude = 'none',
  rules: Sequence[Mapping[str, Any]] = (),
  layer_decay: float | None = None,
  freeze_steps: Natural = 0,
  clip_norm: float | None = None,
  clip_tensor_norm: float | None = None,
  **kwargs: Any,
) -> optax.GradientTransformation:
  """Builds the optimizer of a run.

  Args:
    name: key of `OPTIMIZERS`.
    learning_rate: step -> value.
    weight_decay: step -> value, or a constant.
    exclude: `'ndim<=1'` takes biases and scales out of weight decay and trust
      ratio, that is, all vectors and numbers, and what is named `bias` or
      `scale` where one array holds those of several networks (the classifiers
      of a sweep); `'none'` treats all alike.
    rules: dicts with `match`, a regular expression that is searched in the
      parameter's name (`encoder/blocks_0/attn/qkv/kernel`), and any of the
      factors `learning_rate` and `weight_decay`, `trust` (bool) and
      `freeze_steps` (int, -1 for always). Later rules win; each must match.
    layer_decay: d; parameters of block i of L of the encoder get the learning
      rate times d^(L - i), those before the first block d^(L + 1), all others 1
      (BEiT's and MAE's fine-tuning). The stages of a ResNet or ConvNeXt count
      as blocks; encoders without either are an error.
    freeze_steps: the encoder is frozen for so many first steps, while heads
      that start fresh learn to use it: parameters, moments and batch statistics
      stay, in a slow network too. It still runs as in training.
    clip_norm: largest global L2 norm of the gradients.
    clip_tensor_norm: largest L2 norm of each gradient tensor (DINO, iBOT).
    **kwargs: keyword arguments of the algorithm.

  Raises:
    UserError: if a name or a key of a rule is unknown, a rule has no `match`,
      or one that is no regular expression, or (at `init`) matches nothing.
  """
  if name not in OPTIMIZERS:
    raise unknown('optimizer', name, OPTIMIZERS)
  if exclude not in get_args(Exclude):
    raise unknown('optim.exclude', exclude, get_args(Exclude))
  for rule in rules:
    check_rule(rule)
  decay = weight_decay if callable(weight_decay) else _constant(weight_decay)

  def make_group(treatment: Treatment) -> optax.GradientTransformation:
    first = treatment.freeze_steps
    if first == FOREVER:
      # Without moments, which would take memory for nothing.
      return optax.set_to_zero()
    # A group that starts late counts its own steps; schedules are of the run.
    rate = _scaled(learning_rate, treatment.learning_rate, first)
    group = OPTIMIZERS[name](
      treatment, rate, _scaled(decay, treatment.weight_decay, first), **kwargs
    )
    return skip_steps(group, first) if first else group

  def assign(params: PyTree) -> PyTree:
    return treatments(
      params,
      exclude=exclude,
      rules=rules,
      layer_decay=layer_decay,
      freeze_steps=freeze_steps,
    )

  clips = []
  # Before the groups, as in the authors' code: gradients of frozen parameters
  # count in the norm.
  if clip_norm is not None:
    clips.append(optax.clip_by_global_norm(clip_norm))
  if clip_tensor_norm is not None:
    clips.append(clip_by_tensor_norm(clip_tensor_norm))
  return optax.chain(*clips, _by_treatment(assign, make_group))


def clip_by_tensor_norm(max_norm: float) -> optax.GradientTransformation:
  """Scales each tensor by min(1, c / (|g| + 1e-6)), as DINO's code does."""

  def clip(g: jax.Array) -> jax.Array:
    return g * jnp.minimum(1.0, max_norm / (jnp.linalg.norm(g) + 1e-6))

  return optax.stateless(lambda updates, _: jax.tree.map(clip, updates))


def _by_treatment(
  assign: Callable[[PyTree], PyTree],
  make_group: Callable[[Treatment], optax.GradientTransformation],
) -> optax.GradientTransformation:
  # The groups follow from the names and ranks of the parameters, which
  # gradients share, so nothing has to be known before `init`.
  def partition(tree: PyTree) -> optax.GradientTransformation:
    assigned = assign(tree)
    leaves = jax.tree.leaves(assigned)
    groups = {t.label: make_group(t) for t in leaves}
    return optax.partition(groups, jax.tree.map(lambda t: t.label, assigned))

  def init(params: PyTree) -> PyTree:
    return partition(params).init(params)

  def update(
    updates: PyTree, state: PyTree, params: PyTree | None = None
  ) -> tuple[PyTree, PyTree]:
    return partition(updates).update(updates, state, params)

  return optax.GradientTransformation(init, update)


def _constant(value: float) -> Schedule:
  return lambda step: value


def _scaled(schedule: Schedule, factor: float, first_step: int) -> Schedule:
  return lambda step: factor * schedule(step + first_step)
