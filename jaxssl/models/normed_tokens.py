"""Encoders all of whose tokens pass the final norm."""

from flax import linen as nn

from jaxssl import errors
from jaxssl.models.vit import ViT


def require_normed_tokens(
  method: str, encoder: nn.Module, *, attends: bool = False
) -> None:
  """Raises `UserError` unless all tokens of the encoder pass its final norm.

  Args:
    method: who needs it, for the message.
    encoder: any module.
    attends: whether it may pool by attention, which is trained where a method
      has a use for the features.
  """
  if not isinstance(encoder, ViT):
    raise errors.UserError(
      f'method {method!r} needs a vision transformer, for example '
      "encoder.name='vit_b16'"
    )
  if encoder.stem == 'conv':
    raise errors.UserError(
      f"method {method!r} hides patches, which stem='conv' mixes; use 'patch'"
    )
  pools = "pool='map' or 'cls'" if attends else "pool='cls'"
  if encoder.uses_fc_norm() or (encoder.pool == 'map' and not attends):
    raise errors.UserError(
      f"method {method!r} needs an encoder with {pools}, or pool='avg' and "
      'fc_norm=False: all its tokens must pass the final norm'
    )


def require_mask_token(
  method: str, encoder: nn.Module, *, attends: bool = False
) -> None:
  """Raises `UserError` unless the encoder can be told to hide patches.

  Args:
    method: who needs it, for the message.
    encoder: any module.
    attends: see `require_normed_tokens`.
  """
  require_normed_tokens(method, encoder, attends=attends)
  if not getattr(encoder, 'use_mask_token', False):
    raise errors.UserError(
      f'method {method!r} needs encoder.use_mask_token=True'
    )
