"""How each parameter is trained, by its name and shape."""

from collections.abc import Mapping, Sequence
import dataclasses
import math
import re
from typing import Any, Literal

import jax
import jax.numpy as jnp

from jaxssl.errors import UserError, unknown

PyTree = Any
FOREVER = -1
Exclude = Literal['none', 'ndim<=1']
# What each key of a rule takes.
_RULE_KEYS = {
  'match': 'a regular expression',
  'learning_rate': 'a number',
  'weight_decay': 'a number',
  'trust': 'True or False',
  'freeze_steps': 'a number of steps, or -1 for always',
}


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
      # Checkpoints name the optimizer's arrays by it, so its form stays.
      f'lr{self.learning_rate:.9g}_wd{self.weight_decay:.9g}'
      f'_trust{int(self.trust)}_freeze{self.freeze_steps}'
    )


def parameter_name(path: tuple[Any, ...]) -> str:
  """Returns the name that rules match, for example `encoder/conv1/kernel`."""
  return '/'.join(str(getattr(entry, 'key', entry)) for entry in path)


def treatments(
  params: PyTree,
  *,
  exclude: Exclude = 'none',
  rules: Sequence[Mapping[str, Any]] = (),
  layer_decay: float | None = None,
  freeze_steps: int = 0,
) -> PyTree:
  """Returns the `Treatment` of every parameter, see `make_optimizer`.

  Args:
    params: parameters of the method.
    exclude: which parameters have no weight decay.
    rules: settings by patterns of names.
    layer_decay: factor of the learning rate per layer, or None.
    freeze_steps: first steps in which the encoder is frozen.

  Raises:
    UserError: if a rule matches no parameter, or `layer_decay` has no layers.
  """
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
      'optim.layer_decay needs an encoder with blocks (a vision transformer) '
      'or stages (a ResNet or ConvNeXt)'
    )
  result = []
  for name, (_, leaf) in zip(names, leaves, strict=True):
    treatment = Treatment()
    # From the general to the special: the rules come last and win.
    if exclude == 'ndim<=1' and _is_vector(name, leaf):
      treatment = Treatment(weight_decay=0.0, trust=False)
    if layer_decay is not None:
      depth = num_blocks + 1 - _layer_of(name, num_blocks)
      treatment = dataclasses.replace(
        treatment, learning_rate=layer_decay**depth
      )
    if freeze_steps and _is_of_encoder(name):
      treatment = dataclasses.replace(treatment, freeze_steps=freeze_steps)
    for rule in rules:
      if re.search(rule['match'], name):
        changes = {k: v for k, v in rule.items() if k != 'match'}
        treatment = dataclasses.replace(treatment, **changes)
    result.append(treatment)
  return jax.tree.unflatten(treedef, result)


def _is_vector(name: str, leaf: jax.Array) -> bool:
  # A sweep of classifiers keeps its biases in one array [S, C].
  return jnp.ndim(leaf) <= 1 or name.split('/')[-1] in ('bias', 'scale')


def check_rule(rule: Mapping[str, Any]) -> None:
  """Raises `UserError` for a rule that `treatments` could not follow."""
  for key in rule:
    if key not in _RULE_KEYS:
      raise unknown('key of a rule in optim.rules', key, _RULE_KEYS)
  if 'match' not in rule:
    raise UserError(f"optim.rules: {dict(rule)!r} needs a 'match'")
  for key, value in rule.items():
    if not _is_right(key, value):
      raise UserError(
        f'optim.rules: {key} is {value!r}; it must be {_RULE_KEYS[key]}'
      )
  try:
    re.compile(rule['match'])
  except re.error as error:
    raise UserError(
      f'optim.rules: {rule["match"]!r} is no regular expression: {error}'
    ) from error


def _is_right(key: str, value: Any) -> bool:
  if key == 'match':
    return isinstance(value, str)
  if key == 'trust':
    return isinstance(value, bool)
  is_whole = isinstance(value, int) and not isinstance(value, bool)
  if key == 'freeze_steps':
    return is_whole and value >= FOREVER
  return is_whole or (isinstance(value, float) and math.isfinite(value))


# What lies before the blocks or stages of an encoder.
_FIRST = re.compile(
  r'/(patch_embed|cls_token|pos_embed|mask_token|reg_token|norm_pre|rel_pos_bias'
  r'|conv\d|bn\d|stem_\d)(/|$)'
)


def _is_of_encoder(name: str) -> bool:
  """Whether a parameter is the encoder's; a text tower has one of its own."""
  return 'encoder' in name.split('/') and not name.startswith('text/')


def _num_blocks(names: Sequence[str]) -> int:
  """Returns the number of blocks of the encoder, or of its stages."""
  return 1 + max((_block_of(name) for name in names), default=-1)


def _block_of(name: str) -> int:
  """Returns the block or stage of a parameter, from 0; -1: of none."""
  if not _is_of_encoder(name):
    return -1
  # The blocks of a ConvNeXt lie in its stages, which count for it.
  if block := re.search(r'/(?:blocks|stages)_(\d+)/', name):
    return int(block[1])
  stage = re.search(r'/layer(\d+)_\d+/', name)
  # A ResNet's stages count from 1.
  return int(stage[1]) - 1 if stage else -1


def _layer_of(name: str, num_blocks: int) -> int:
  """0 before the blocks, i + 1 in block i, L + 1 after them."""
  if (block := _block_of(name)) >= 0:
    return block + 1
  is_first = _is_of_encoder(name) and _FIRST.search(name)
  return 0 if is_first else num_blocks + 1
