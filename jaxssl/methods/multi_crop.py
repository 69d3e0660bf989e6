"""Views of several sizes through one encoder."""

from collections.abc import Sequence
import itertools
from typing import Protocol

from flax import linen as nn
import jax

from jaxssl import errors
from jaxssl.methods import variables, view_rows
from jaxssl.methods.base import Batch, PyTree
from jaxssl.models.drop_path import fold_keys


def encode(
  encoder: nn.Module,
  params: PyTree,
  stats: PyTree,
  views: Sequence[jax.Array],
  *,
  keys: jax.Array,
  axis_name: str | None,
) -> tuple[list[jax.Array], PyTree]:
  """Returns features [b, D] of each view, and new statistics, see `outputs`."""
  found, new = outputs(
    encoder, params, stats, views, keys=keys, axis_name=axis_name
  )
  return [features for features, _ in found], new


def outputs(
  encoder: nn.Module,
  params: PyTree,
  stats: PyTree,
  views: Sequence[jax.Array],
  *,
  keys: jax.Array,
  axis_name: str | None,
  masks: Sequence[jax.Array] | None = None,
) -> tuple[list[tuple[jax.Array, dict[str, jax.Array]]], PyTree]:
  """Runs the submodule `encoder` in training mode, one pass a resolution.

  Neighbouring views of the same size go together, and share batch statistics;
  so the cost is that of the pixels.

  Args:
    encoder: module, images [b, H, W, 3] -> (features [b, D], out).
    params: trainable variables of a larger module.
    stats: its other collections.
    views: images [b, H_v, W_v, 3].
    keys: typed PRNG keys [b], for drop path.
    axis_name: mapped device axis, or None in the global view.
    masks: bool [b, N_v] of each view, for an encoder that takes a `mask`.

  Returns:
    What the encoder returns of each view, and the encoder's new statistics, as
    of `variables.apply_part`.
  """
  # By the number of the view, so that a view drops the same paths however the
  # views are grouped.
  view_keys = [fold_keys(keys, v) for v in range(len(views))]
  found, new = [], {}
  for group in _same_size(views):
    options = {}
    if masks is not None:
      options['mask'] = view_rows.interleave([masks[v] for v in group])
    together, new = variables.apply_part(
      'encoder',
      encoder,
      params,
      # The running statistics go on from where the last group left them.
      variables.replace(stats, new),
      view_rows.interleave([views[v] for v in group]),
      axis_name=axis_name,
      keys=view_rows.interleave([view_keys[v] for v in group]),
      **options,
    )
    found.extend(_separated(together, len(group)))
  return found, new


def _separated(together: PyTree, count: int) -> list[PyTree]:
  """Returns what an encoder made of each of the views that went together."""
  apart = jax.tree.map(lambda x: view_rows.separate(x, count), together)
  return [jax.tree.map(lambda x, v=v: x[v], apart) for v in range(count)]


class Encodes(Protocol):
  """A method whose targets are made of its first views."""

  @property
  def encoder(self) -> nn.Module:
    """Images to features."""
    ...

  @property
  def num_global(self) -> int:
    """How many of the views targets are made of."""
    ...


def embed(
  method: Encodes,
  params: PyTree,
  state: PyTree,
  batch: Batch,
  *,
  keys: jax.Array,
  step: jax.Array,
  axis_name: str | None = None,
) -> tuple[PyTree, PyTree]:
  """Returns `Contrastive.embed` of a method with `stats` in its state.

  The embeddings are a list of features [b, D], one per view.

  Args:
    method: has the encoder.
    params: see `Contrastive.embed`.
    state: see `Contrastive.embed`.
    batch: see `Contrastive.embed`.
    keys: see `Contrastive.embed`.
    step: not used.
    axis_name: see `Contrastive.embed`.

  Raises:
    UserError: see `check_views`.
  """
  del step
  views = batch['views']
  check_views(type(method).__name__, len(views), method.num_global)
  return encode(
    method.encoder,
    params,
    state['stats'],
    views,
    keys=keys,
    axis_name=axis_name,
  )


def check_views(name: str, num_views: int, num_global: int) -> None:
  """Refuses an augmentation that makes too few views.

  Args:
    name: name of the method, for the message.
    num_views: how many views the augmentation makes.
    num_global: how many of them, the first ones, targets are made of.

  Raises:
    UserError: if a target has no other view that could be predicted from.
  """
  if num_views < max(num_global, 2):
    raise errors.UserError(
      f'{name} with num_global={num_global} needs at least '
      f'{max(num_global, 2)} views, the augmentation makes {num_views}'
    )


def _same_size(views: Sequence[jax.Array]) -> list[list[int]]:
  """Returns runs of neighbouring views of the same size, by index."""
  # Neighbours only, as in the authors' code: views stay in their order.
  runs = itertools.groupby(range(len(views)), key=lambda v: views[v].shape)
  return [list(run) for _, run in runs]
