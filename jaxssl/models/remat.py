"""What a block keeps for its backward pass."""

from collections.abc import Sequence

from flax import linen as nn
import jax

from jaxssl import errors

# Name of the outputs of convolutions, for `jax.checkpoint`.
CONVOLUTION = 'convolution'

_policies = jax.checkpoint_policies
POLICIES = {
  'full': _policies.nothing_saveable,
  'dots': _policies.save_from_both_policies(
    _policies.dots_with_no_batch_dims_saveable,
    _policies.save_only_these_names(CONVOLUTION),
  ),
}


def check(remat: bool | str) -> None:
  """Raises `UserError` for what is neither a switch nor a policy."""
  if not isinstance(remat, bool) and remat not in POLICIES:
    raise errors.unknown('remat', remat, ('true', 'false', *POLICIES))


def block(
  module: type[nn.Module],
  remat: bool | str,
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
  check(remat)
  if not remat:
    return module
  policy = POLICIES['full' if remat is True else remat]
  return nn.remat(module, policy=policy, static_argnums=tuple(static_argnums))
