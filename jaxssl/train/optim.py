"""Optimizers of the papers, put together from optax, and rules by name.

The order of one update, as in the authors' PyTorch code:

  1. clip the gradients (`clip_norm` over all, or `clip_tensor_norm` each),
  2. leave out frozen parameters (they are *skipped*: no decay, no moments,
     their step count stands still),
  3. the algorithm, with each parameter's own learning rate and weight decay.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import re
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax

from jaxssl.errors import UserError, unknown
from jaxssl.ops.schedules import Schedule

PyTree = Any
FOREVER = -1


@dataclasses.dataclass(frozen=True)
class Treatment:
  """How one parameter is trained.

  Attributes:
    learning_rate: factor on the learning rate.
    weight_decay: factor on the weight decay.
    trust: whether LARS scales its step by the trust ratio.
    freeze_steps: the optimizer skips it for so many steps; `FOREVER` always.
  """

  learning_rate: float = 1.0
  weight_decay: float = 1.0
  trust: bool = True
  freeze_steps: int = 0

  @property
  def label(self) -> str:
    """A name for the group of parameters with this treatment."""
    return (
      f'lr{self.learning_rate:.9g}_wd{self.weight_decay:.9g}'
      f'_trust{int(self.trust)}_freeze{self.freeze_steps}'
    )


def parameter_name(path: tuple[Any, ...]) -> str:
  """Returns the name that rules match, for example `encoder/conv1/kernel`."""
  return '/'.join(str(getattr(entry, 'key', entry)) for entry in path)


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
) -> optax.GradientTransformation:
  """Apex's LARC without clipping, of SwAV and SimSiam's linear probe.

    a = eta |p| / (|g| + wd |p| + eps);  g = a (g + wd p)

  then SGD with momentum. Where |p| or |g| is zero, g stays as it is. The
  authors apply it to every parameter (`exclude='none'`).

  Args:
    treatment: unused; part of every algorithm's signature.
    learning_rate: step -> learning rate.
    weight_decay: step -> weight decay.
    momentum: factor of the old momentum m.
    trust_coefficient: eta.
    epsilon: eps.
  """
  del treatment
  return optax.chain(
    _larc_scale(weight_decay, trust_coefficient, epsilon),
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
Exclude = Literal['none', 'ndim<=1']
_RULE_KEYS = ('match', 'learning_rate', 'weight_decay', 'trust', 'freeze_steps')


def make_optimizer(
  *,
  name: str,
  learning_rate: Schedule,
  weight_decay: Schedule | float = 0.0,
  exclude: Exclude = 'none',
  rules: Sequence[Mapping[str, Any]] = (),
  layer_decay: float | None = None,
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
      parameter's name (`encoder/blocks_0/attn/qkv/kernel`), and any of
      `learning_rate` and `weight_decay` (factors), `trust` (bool) and
      `freeze_steps` (int, -1 for always). Later rules win. A rule that
      matches no parameter is an error.
    layer_decay: d; parameters of block i of L get the learning rate times
      d^(L - i), those before the first block d^(L + 1), those after the last
      one 1 (BEiT's and MAE's fine-tuning); encoders without blocks are an
      error.
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
    _check_rule(rule)
  decay = weight_decay if callable(weight_decay) else _constant(weight_decay)

  def make_group(treatment: Treatment) -> optax.GradientTransformation:
    first = treatment.freeze_steps
    if first == FOREVER:
      return optax.set_to_zero()
    # A group that starts late counts its own steps; schedules are of the run.
    rate = _scaled(learning_rate, treatment.learning_rate, first)
    group = OPTIMIZERS[name](
      treatment, rate, _scaled(decay, treatment.weight_decay, first), **kwargs
    )
    return skip_steps(group, first) if first else group

  def assign(params: PyTree) -> PyTree:
    return treatments(
      params, exclude=exclude, rules=rules, layer_decay=layer_decay
    )

  clips = []
  if clip_norm is not None:
    clips.append(optax.clip_by_global_norm(clip_norm))
  if clip_tensor_norm is not None:
    clips.append(clip_by_tensor_norm(clip_tensor_norm))
  return optax.chain(*clips, _by_treatment(assign, make_group))


def treatments(
  params: PyTree,
  *,
  exclude: Exclude = 'none',
  rules: Sequence[Mapping[str, Any]] = (),
  layer_decay: float | None = None,
) -> PyTree:
  """Returns the `Treatment` of every parameter, see `make_optimizer`."""
  leaves, treedef = jax.tree_util.tree_flatten_with_path(params)
  names = [parameter_name(path) for path, _ in leaves]
  for rule in rules:
    if not any(re.search(rule['match'], name) for name in names):
      raise UserError(
        f'optim.rules: {rule["match"]!r} matches no parameter; names look '
        f'like {names[0]!r}'
      )
  num_blocks = _num_blocks(names)
  if layer_decay is not None and not num_blocks:
    raise UserError(
      'optim.layer_decay needs an encoder with blocks (a vision transformer)'
    )
  result = []
  for name, (_, leaf) in zip(names, leaves, strict=True):
    treatment = Treatment()
    if exclude == 'ndim<=1' and _is_vector(name, leaf):
      treatment = Treatment(weight_decay=0.0, trust=False)
    if layer_decay is not None:
      depth = num_blocks + 1 - _layer_of(name, num_blocks)
      treatment = dataclasses.replace(
        treatment, learning_rate=layer_decay**depth
      )
    for rule in rules:
      if re.search(rule['match'], name):
        changes = {k: v for k, v in rule.items() if k != 'match'}
        treatment = dataclasses.replace(treatment, **changes)
    result.append(treatment)
  return jax.tree.unflatten(treedef, result)


def _is_vector(name: str, leaf: jax.Array) -> bool:
  # A sweep of classifiers keeps its biases in one array [S, C].
  return jnp.ndim(leaf) <= 1 or name.split('/')[-1] in ('bias', 'scale')


class SkipState(NamedTuple):
  """State of `skip_steps`: int32 steps seen so far, and the inner state."""

  count: jax.Array
  inner: PyTree


def skip_steps(
  inner: optax.GradientTransformation, num_steps: int
) -> optax.GradientTransformation:
  """Leaves parameters and the inner state untouched for `num_steps` steps.

  This is what PyTorch does when a gradient is None (DINO's `cancel_gradients_
  last_layer`, SwAV's frozen prototypes): no decay, no moments, no step count.
  A zero gradient would not be the same.
  """

  def init(params):
    return SkipState(jnp.zeros((), jnp.int32), inner.init(params))

  def update(updates, state, params=None):
    moved, inner_state = inner.update(updates, state.inner, params)
    active = state.count >= num_steps

    def keep(new, old):
      return jax.tree.map(lambda a, b: jnp.where(active, a, b), new, old)

    zeros = jax.tree.map(jnp.zeros_like, moved)
    return keep(moved, zeros), SkipState(
      optax.safe_increment(state.count), keep(inner_state, state.inner)
    )

  return optax.GradientTransformation(init, update)


def clip_by_tensor_norm(max_norm: float) -> optax.GradientTransformation:
  """Scales each tensor by min(1, c / (|g| + 1e-6)), as DINO's code does."""

  def clip(g):
    return g * jnp.minimum(1.0, max_norm / (jnp.linalg.norm(g) + 1e-6))

  return optax.stateless(lambda updates, _: jax.tree.map(clip, updates))


class _CountState(NamedTuple):
  count: jax.Array


def _counting(
  apply: Callable[[jax.Array, PyTree, PyTree], PyTree],
) -> optax.GradientTransformation:
  """A transformation that depends on the step only: `apply(k, g, p)`."""

  def init(params):
    del params
    return _CountState(jnp.zeros((), jnp.int32))

  def update(updates, state, params=None):
    count = optax.safe_increment(state.count)
    return apply(state.count, updates, params), _CountState(count)

  return optax.GradientTransformation(init, update)


def _add_decay(weight_decay: Schedule) -> optax.GradientTransformation:
  def apply(step, updates, params):
    decay = weight_decay(step)
    return jax.tree.map(lambda g, p: g + decay * p, updates, params)

  return _counting(apply)


def _larc_scale(weight_decay, trust_coefficient, epsilon):
  def apply(step, updates, params):
    decay = weight_decay(step)

    def scale(g, p):
      p_norm, g_norm = jnp.linalg.norm(p), jnp.linalg.norm(g)
      ratio = trust_coefficient * p_norm / (g_norm + decay * p_norm + epsilon)
      defined = (p_norm != 0) & (g_norm != 0)
      return jnp.where(defined, ratio * (g + decay * p), g)

    return jax.tree.map(scale, updates, params)

  return _counting(apply)


def _trust_ratio(treatment, trust_coefficient):
  if not treatment.trust:
    return optax.identity()
  return optax.scale_by_trust_ratio(trust_coefficient=trust_coefficient)


def _by_treatment(assign, make_group) -> optax.GradientTransformation:
  # The groups follow from the names and ranks of the parameters, which
  # gradients share, so nothing has to be known before `init`.
  def partition(tree):
    assigned = assign(tree)
    leaves = jax.tree.leaves(assigned)
    groups = {t.label: make_group(t) for t in leaves}
    return optax.partition(groups, jax.tree.map(lambda t: t.label, assigned))

  def init(params):
    return partition(params).init(params)

  def update(updates, state, params=None):
    return partition(updates).update(updates, state, params)

  return optax.GradientTransformation(init, update)


def _check_rule(rule: Mapping[str, Any]) -> None:
  for key in rule:
    if key not in _RULE_KEYS:
      raise unknown('key of a rule in optim.rules', key, _RULE_KEYS)
  if 'match' not in rule:
    raise UserError(f"optim.rules: {dict(rule)!r} needs a 'match'")
  try:
    re.compile(rule['match'])
  except re.error as error:
    raise UserError(
      f'optim.rules: {rule["match"]!r} is no regular expression: {error}'
    ) from error
  freeze_steps = rule.get('freeze_steps', 0)
  if freeze_steps < 0 and freeze_steps != FOREVER:
    raise UserError(
      f'optim.rules: freeze_steps is {freeze_steps}; it must be a number of '
      f'steps, or {FOREVER} for always'
    )


def _constant(value: float) -> Schedule:
  return lambda step: value


def _scaled(schedule: Schedule, factor: float, first_step: int) -> Schedule:
  return lambda step: factor * schedule(step + first_step)


def _num_blocks(names: Sequence[str]) -> int:
  found = (re.search(r'(?:^|/)blocks_(\d+)/', name) for name in names)
  return 1 + max((int(match[1]) for match in found if match), default=-1)


def _layer_of(name: str, num_blocks: int) -> int:
  """0 before the blocks, i + 1 in block i, L + 1 after them."""
  block = re.search(r'(?:^|/)blocks_(\d+)/', name)
  if block:
    return int(block[1]) + 1
  embeds = r'(?:^|/)(patch_embed|cls_token|pos_embed|mask_token|reg_token)'
  return 0 if re.search(embeds, name) else num_blocks + 1
