"""An image tower and a text tower that end in one space."""

import dataclasses
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.methods import variables as variables_lib
from jaxssl.methods.base import Batch, PyTree
from jaxssl.models import Net, Unprojected
from jaxssl.models.drop_path import fold_keys
from jaxssl.models.spatial_map import spatial_map
from jaxssl.ops.contrastive import l2_normalize


@dataclasses.dataclass(frozen=True, kw_only=True)
class TwoTowers:
  """Two networks, each an encoder and a head into the joint space.

  Parameters and statistics are trees {'image': ..., 'text': ...} with the parts
  `encoder` and `head` each; the heads share nothing.

  Attributes:
    encoder: images [b, H, W, 3] -> (features, out).
    text_encoder: token ids [b, L] -> (features, out).
    head: features -> [b, K]; each tower has one of its own.
    project_images: whether the image tower has one; otherwise its features must
      be K numbers.
  """

  encoder: nn.Module
  text_encoder: nn.Module
  head: nn.Module
  project_images: bool

  @property
  def image(self) -> Net:
    """Images [b, H, W, 3] -> [b, K]."""
    head = self.head if self.project_images else Unprojected()
    return Net(self.encoder, head)

  @property
  def text(self) -> Net:
    """Token ids [b, L] -> [b, K]."""
    return Net(self.text_encoder, self.head)

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """Returns parameters and statistics.

    Raises:
      UserError: a batch without text; towers that end in different widths.
    """
    if 'text' not in batch:
      raise errors.UserError(
        'this method needs pairs of images and texts; its data has no captions'
      )
    image_key, text_key = jax.random.split(key)
    x, image = self.image.init_with_output(
      image_key, batch['views'][0], train=False
    )
    y, text = self.text.init_with_output(
      text_key, flat_texts(batch['text']), train=False
    )
    if x.shape[-1] != y.shape[-1]:
      raise errors.UserError(
        f'the image tower ends in {x.shape[-1]} numbers, the text tower in '
        f'{y.shape[-1]}; set project_images=True, or head.out_dim to the former'
      )
    return variables_lib.split(
      variables_lib.join(
        # A tower without parameters has its name in the tree all the same.
        image={'params': {}, **image},
        text={'params': {}, **text},
      )
    )

  def embed(
    self,
    params: PyTree,
    stats: PyTree,
    batch: Batch,
    *,
    keys: jax.Array,
    axis_name: str | None = None,
  ) -> tuple[dict[str, jax.Array], PyTree]:
    """Runs both towers in training mode.

    Args:
      params: parameters of both towers.
      stats: their statistics.
      batch: `views` and `text`.
      keys: typed PRNG keys [b].
      axis_name: mapped device axis, or None in the global view.

    Returns:
      {'image': [b, K], 'text': [b, K], or [b, n, K] of n texts each}, not
      normalised, and new statistics.
    """
    found, stats = self.outputs(
      params, stats, batch, keys=keys, axis_name=axis_name
    )
    return vectors(found, batch), stats

  def outputs(
    self,
    params: PyTree,
    stats: PyTree,
    batch: Batch,
    *,
    keys: jax.Array,
    axis_name: str | None = None,
  ) -> tuple[dict[str, tuple[jax.Array, dict[str, Any]]], PyTree]:
    """Runs both towers in training mode.

    Args:
      params: parameters of both towers.
      stats: their statistics.
      batch: `views` and `text`.
      keys: typed PRNG keys [b].
      axis_name: mapped device axis, or None in the global view.

    Returns:
      By tower [b, K], not normalised, with every intermediate of its encoder;
      and new statistics. Several texts of an image are rows behind each other.
    """
    texts = flat_texts(batch['text'])
    inputs = {'image': batch['views'][0], 'text': texts}
    row_keys = {'image': keys, 'text': keys}
    if len(texts) > len(keys):
      row_keys['text'] = jnp.repeat(keys, len(texts) // len(keys))
    found = {}
    for number, (name, net) in enumerate(self._nets().items()):
      found[name], new = variables_lib.apply_part(
        name,
        net,
        params,
        stats,
        inputs[name],
        axis_name=axis_name,
        # The towers drop paths of their own.
        keys=fold_keys(row_keys[name], number),
        method='outputs',
      )
      stats = variables_lib.replace(stats, new)
    return found, stats

  def export(self, params: PyTree, stats: PyTree) -> dict[str, PyTree]:
    """Returns variables: `encoder`, `image_head` if it has any, `text`."""
    image = variables_lib.split(variables_lib.tower('image', params, stats))
    towers = {
      'encoder': variables_lib.tower('encoder', *image),
      'text': variables_lib.tower('text', params, stats),
    }
    if self.project_images:
      towers['image_head'] = variables_lib.tower('head', *image)
    return towers

  def encode_image(self, towers: PyTree, images: jax.Array) -> jax.Array:
    """Returns unit vectors float32 [b, K] of images [b, H, W, 3].

    Args:
      towers: towers from `export`.
      images: normalised.
    """
    parts = {'encoder': towers['encoder']}
    if self.project_images:
      parts['head'] = towers['image_head']
    variables = variables_lib.join(**parts)
    return l2_normalize(
      variables_lib.apply(self.image, variables, images, train=False)
    )

  def encode_text(self, towers: PyTree, text: jax.Array) -> jax.Array:
    """Returns unit vectors float32 [b, K] of token ids int32 [b, L]."""
    return l2_normalize(
      variables_lib.apply(self.text, towers['text'], text, train=False)
    )

  def with_text(
    self, params: PyTree, stats: PyTree, text: PyTree
  ) -> tuple[PyTree, PyTree]:
    """Returns parameters and statistics with a trained text tower.

    Args:
      params: parameters of both towers.
      stats: their statistics.
      text: variables of the text tower with its projection, as `export`
        returns them.

    Raises:
      UserError: if they are of another architecture.
    """
    old = self.export(params, stats)['text']
    if jax.tree.map(jnp.shape, old) != jax.tree.map(jnp.shape, text):
      raise errors.UserError(
        'the weights are of another text tower: names or shapes of their '
        'arrays differ; give the text_encoder section of the run that made them'
      )
    own, rest = variables_lib.split(text)
    new = {kind: {'text': tree} for kind, tree in rest.items()}
    return {**params, 'text': own}, variables_lib.replace(stats, new)

  def _nets(self) -> dict[str, Net]:
    return {'image': self.image, 'text': self.text}


def flat_texts(text: jax.Array) -> jax.Array:
  """Returns texts [b n, L] of [b, n, L], the n of an image behind each other.

  Args:
    text: token ids [b, n, L], or [b, L] of one text of each image.
  """
  return text.reshape(-1, text.shape[-1])


def vectors(found: PyTree, batch: Batch) -> dict[str, jax.Array]:
  """Returns what the towers end in, see `TwoTowers.embed`.

  Args:
    found: what `TwoTowers.outputs` returns.
    batch: what it was given.
  """
  x, y = found['image'][0], found['text'][0]
  return {'image': x, 'text': y.reshape(*batch['text'].shape[:-1], -1)}


def image_tokens(found: PyTree, batch: Batch) -> jax.Array:
  """Returns tokens [b n, N, D] of the images, once for each text of an image.

  Args:
    found: what `TwoTowers.outputs` returns.
    batch: what it was given.
  """
  places = spatial_map(found['image'][1], batch['views'][0].shape[1:3])
  image = places.reshape(len(places), -1, places.shape[-1])
  each = len(flat_texts(batch['text'])) // len(image)
  if each == 1:
    return image
  # All texts of an image look at it; in float32, as is the sum of what they
  # send back.
  shape = (len(image), each, *image.shape[1:])
  image = jnp.broadcast_to(image.astype(jnp.float32)[:, None], shape)
  return image.reshape(-1, *shape[2:])
