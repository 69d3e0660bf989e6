"""The encoder of a fine-tuning, before and after."""

import dataclasses
from typing import Any

from flax import traverse_util
import jax
import jax.numpy as jnp

from jaxssl import errors, models
from jaxssl.methods.base import PyTree
from jaxssl.methods.supervised import Supervised
from jaxssl.train.state import TrainState
from jaxssl.weights.exported import ExportedEncoder

# What an adapted encoder may have and the pre-trained one lack.
_FRESH = ('fc_norm', 'attn_pool')


def adapted(
  exported: ExportedEncoder, *, pool: str, drop_path: float
) -> ExportedEncoder:
  """Returns the encoder with another pooling and drop path.

  Args:
    exported: the pre-trained encoder.
    pool: see `models.ViT`; `'same'` leaves it.
    drop_path: largest rate over the blocks.

  Raises:
    jaxssl.errors.UserError: if the weights do not fit such an encoder.
  """
  section = dict(exported.section)
  if pool != 'same':
    section |= {'pool': pool, 'fc_norm': None}
  if drop_path or 'drop_path' in section:
    section['drop_path'] = drop_path
  if section.get('use_mask_token'):
    section['use_mask_token'] = False
  encoder = models.make_encoder(**section)
  size = exported.image_size
  fresh = jax.jit(encoder.init)(
    jax.random.key(0), jnp.zeros((1, size, size, exported.num_channels))
  )
  variables = _overlaid(jax.device_get(fresh), exported.variables)
  return dataclasses.replace(exported, section=section, variables=variables)


def tuned(
  exported: ExportedEncoder, method: Supervised, state: TrainState
) -> ExportedEncoder:
  """Returns the trained encoder, with its tower `classifier` beside it.

  Args:
    exported: the encoder before.
    method: what was trained.
    state: the state after the last step.
  """
  method_state = state.method_state
  heads = jax.device_get(method.classifiers(state.params, method_state))
  towers = jax.device_get(method.export(state.params, method_state))
  return dataclasses.replace(
    exported,
    variables=towers['encoder'],
    step=int(state.step),
    towers={'classifier': jax.tree.map(lambda x: x[0], heads)},
  )


def _overlaid(fresh: PyTree, trained: PyTree) -> PyTree:
  """Returns the fresh variables, replaced by trained ones where there are."""
  old: dict[tuple[str, ...], Any] = traverse_util.flatten_dict(trained)
  new: dict[tuple[str, ...], Any] = traverse_util.flatten_dict(fresh)
  for path, value in new.items():
    if path in old and old[path].shape == value.shape:
      new[path] = old[path]
    elif path[1] not in _FRESH:
      raise errors.UserError(
        f'the encoder has no weights for {".".join(path)!r}; give the pool of '
        'its pre-training'
      )
  return traverse_util.unflatten_dict(new)
