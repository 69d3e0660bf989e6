"""What a block keeps for its backward pass."""

from collections.abc import Sequence
from typing import Any, Literal

from flax import linen as nn
import jax

# A switch, or the name of a policy; True is 'full'.
Remat = bool | Literal['full', 'dots']
# Name of the outputs of convolutions, for `jax.checkpoint`.
CONVOLUTION = 'convolution'

_policies = jax.checkpoint_policies
POLICIES = {
  'full': _policies.nothing_saveable,
  # To JAX a convolution is no product; it is kept by its name.
  'dots': _policies.save_from_both_policies(
    _policies.dots_with_no_batch_dims_saveable,
    _policies.save_only_these_names(CONVOLUTION),
  ),
}


def is_on(method: Any) -> bool:
  """Returns whether a network of a method computes activations twice.

  Args:
    method: any object; its networks are attributes that have `remat`.
  """
  parts = getattr(method, '__dict__', {})  # a class with slots has none
  return any(getattr(part, 'remat', False) for part in parts.values())


def block(
  module: type[nn.Module],
  remat: Remat,
  *,
  static_argnums: Sequence[int] = (),
) -> type[nn.Module]:
  """Returns the module class, told what to keep for its backward pass.

  Args:
    module: class of a block.
    remat: False: everything; True or 'full': its input, and all is computed
      once more; 'dots': also the products with weights, so that only norms,
      activations and attention are computed once more.
    static_argnums: places of arguments that are no arrays; 0 is the module.
  """
  if not remat:
    return module
  policy = POLICIES['full' if remat is True else remat]
  return nn.remat(module, policy=policy, static_argnums=tuple(static_argnums))
