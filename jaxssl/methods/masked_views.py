"""Views of several sizes, of which the large ones have hidden patches."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxssl.errors import UserError
from jaxssl.methods import multi_crop
from jaxssl.methods.base import PyTree
from jaxssl.models import DINOHead
from jaxssl.models.normed_tokens import require_mask_token
from jaxssl.models.vit import ViT


def check(
  method: str, encoder: ViT, head: DINOHead, ratio: tuple[float, float]
) -> None:
  """Refuses networks and masks that do not serve.

  Args:
    method: who needs them, for the message.
    encoder: must have a mask token, and a norm behind all tokens.
    head: must not have BatchNorm, which would see places without a patch.
    ratio: least and largest share of the patches that a mask hides.

  Raises:
    UserError: for what does not serve.
  """
  require_mask_token(method, encoder)
  if head.use_bn:
    raise UserError(
      f'method {method!r} needs head.use_bn=False: statistics would count '
      'places without a hidden patch'
    )
  low, high = ratio
  if not 0 < low <= high < 1:
    raise UserError(
      f'method.mask_ratio is {tuple(ratio)}; it must be two shares above 0 and '
      'below 1, the smaller one first'
    )


def check_sizes(
  views: Sequence[jax.Array], key: str = 'method.num_global'
) -> None:
  """Refuses large views [b, H, W, 3] that are not of one size.

  Args:
    views: the large ones.
    key: of the config that says how many they are.

  Raises:
    UserError: if their sizes differ.
  """
  sizes = [f'{view.shape[1]}x{view.shape[2]}' for view in views]
  if len(set(sizes)) > 1:
    raise UserError(
      f'{len(views)} views ({key}) must have one size, not {", ".join(sizes)}'
    )


def run(
  encoder: ViT,
  params: PyTree,
  views: Sequence[jax.Array],
  masks: jax.Array | None = None,
  *,
  keys: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """Runs the encoder in training mode, one pass a resolution.

  Args:
    encoder: has no batch statistics.
    params: of a larger module, where it is `encoder`.
    views: images [b, H_v, W_v, 3] of V views, the G large ones first.
    masks: bool [G, b, N], True for patches of the large views that it does not
      see. None: it sees all, and all views are large.
    keys: typed PRNG keys [b], for drop path.

  Returns:
    Features float32 [V, b, D], and tokens [G, b, N, D] of the large views.
  """
  all_masks = None
  if masks is not None:
    all_masks = [*masks]
    for view in views[len(masks) :]:
      rows, columns = encoder.grid_of(view)
      all_masks.append(jnp.zeros((len(view), rows * columns), bool))
  found, _ = multi_crop.outputs(
    encoder, params, {}, views, keys=keys, axis_name=None, masks=all_masks
  )
  large = found if masks is None else found[: len(masks)]
  features = jnp.stack([features for features, _ in found])
  return features, jnp.stack([out['patches'] for _, out in large])
