"""Rotation: tell by how many quarter turns an image was turned."""

import dataclasses

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl.methods import row_sums, variables, view_rows
from jaxssl.methods.base import Batch, PyTree, RowSums
from jaxssl.models import Linear, Net
from jaxssl.models.drop_path import fold_keys
from jaxssl.ops.cross_entropy import label_entropy

NUM_ROTATIONS = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rotation:
  """Classifies the four rotations of the first view.

    loss = 1/4 sum_k CE(softmax(W f(rot90(x, k)) + c), k),   k = 0, 1, 2, 3

  k counts quarter turns against the clock, as `np.rot90`. All four rotations
  of each image are in the batch, 4B rows through one forward pass. Downstream,
  the encoder's output is used and the linear classifier is dropped.

  State: the batch statistics of the encoder.

  Attributes:
    encoder: module, images [b, H, H, 3] -> (features [b, D], out).

  References:
    Gidaris et al., Unsupervised Representation Learning by Predicting Image
    Rotations, 2018, https://arxiv.org/abs/1803.07728 (equations 2 and 3);
    https://github.com/gidariss/FeatureLearningRotNet.

  Differs from the authors' code: any encoder instead of AlexNet or NIN; a
  linear classifier behind its pooled features. Views are normalised before
  they are turned, which is the same.
  """

  encoder: nn.Module

  loss = row_sums.mean_loss

  @property
  def net(self) -> Net:
    """Encoder and classifier as one module."""
    return Net(self.encoder, Linear(NUM_ROTATIONS))

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    return variables.split(self.net.init(key, batch['views'][0], train=False))

  def sums(
    self,
    params: PyTree,
    state: PyTree,
    batch: Batch,
    *,
    keys: jax.Array,
    step: jax.Array,
    axis_name: str | None = None,
  ) -> tuple[RowSums, PyTree]:
    """See `RowWise.sums`."""
    del step
    images = batch['views'][0]
    # The turns of an image are neighbouring rows: 0 1 2 3, 0 1 2 3, ...
    labels = jnp.tile(jnp.arange(NUM_ROTATIONS), len(images))
    turn_keys = [fold_keys(keys, k) for k in range(NUM_ROTATIONS)]
    logits, stats = variables.apply_train(
      self.net,
      params,
      state,
      view_rows.interleave(rotations(images)),
      axis_name=axis_name,
      keys=view_rows.interleave(turn_keys),
    )
    entropy = label_entropy(logits, labels)
    right = (logits.argmax(-1) == labels).sum(dtype=jnp.float32)
    weight = jnp.asarray(len(labels), jnp.float32)
    return RowSums(entropy.sum(), weight, right), stats

  def summarize(
    self, sums: RowSums, stats: PyTree
  ) -> tuple[dict[str, jax.Array], PyTree]:
    """See `RowWise.summarize`."""
    return {'rotation_top1': sums.seen / sums.weight}, stats

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`."""
    del state, step
    return params, carry

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`."""
    return {'encoder': variables.tower('encoder', params, state)}


def rotations(images: jax.Array) -> list[jax.Array]:
  """Returns images [b, H, H, 3] turned by 0, 90, 180, 270 degrees.

  Returns:
    Four [b, H, H, 3]; those of entry k are turned k times against the clock.
  """
  return [jnp.rot90(images, k, axes=(1, 2)) for k in range(NUM_ROTATIONS)]
