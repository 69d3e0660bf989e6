"""Features of a frozen encoder: how they are computed, kept and checked.

Every evaluation stands on two arrays, features and labels. This file turns an
encoder into a function of images, runs it over a data set once, and keeps the
result in a file, so that kNN, probes and maps of one encoder share the work.
"""

from collections.abc import Callable, Iterable, Mapping
import dataclasses
import functools
import logging
import os
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
import numpy as np

from jaxssl import errors, finite, npz_file
from jaxssl.augment.preprocessing import Preprocessing
from jaxssl.models.spatial_map import spatial_map
from jaxssl.parallel import modes
from jaxssl.paths import Path, make_path

Encode = Callable[[Any], jax.Array]
PyTree = Any


@dataclasses.dataclass(frozen=True)
class Features:
  """What an encoder makes of a data set, on the host.

  Attributes:
    features: float32 [n, D], all finite.
    labels: int32 [n], -1 where unknown.
    class_names: names of the classes, in the order of the labels; may be empty.
  """

  features: np.ndarray
  labels: np.ndarray
  class_names: tuple[str, ...] = ()

  def __post_init__(self) -> None:
    """Raises `UserError` for features that are not finite."""
    finite.require_rows(self.features, 'features')

  @property
  def num_classes(self) -> int:
    """Number of classes: of the names, or the largest label plus one."""
    return max(len(self.class_names), int(self.labels.max(initial=-1)) + 1)


class Encoder(Protocol):
  """A Flax module, or what can be applied like one; it can be hashed."""

  def apply(self, variables: PyTree, _: Any, /, *, train: bool) -> Any:
    """Returns features [b, ...], and intermediates by name.

    Args:
      variables: variables of the encoder.
      _: images float32 [b, H, W, 3], normalised.
      train: whether batch statistics and drop path are those of training.
    """
    ...


def encode_fn(
  encoder: Encoder,
  variables: PyTree,
  normalize: Callable[[jax.Array], jax.Array],
  layer: str | None = None,
  *,
  spatial: bool = False,
) -> Encode:
  """Returns the encoder in evaluation mode as a function of images.

  Calling this again with new `variables` does not compile again as long as
  `encoder` and `normalize` are equal (`normalize` a function of a module or a
  method of a frozen dataclass, not a new lambda), so it can be used every few
  hundred steps of a training run.

  Args:
    encoder: Linen module, `features, out = encoder(images, train=False)`.
    variables: its Flax variables; copied once to every local device.
    normalize: maps the images of a batch (uint8 [b, H, W, 3]) to the float32
      input of the encoder; runs on the device.
    layer: name of the intermediate in `out` to use instead of the features;
      its axes between the first and the last (space, tokens) are averaged.
    spatial: nothing is averaged: the spatial map of the encoder, or of the
      layer (`models.spatial_map`).

  Returns:
    `encode(images [b, H, W, 3]) -> float32 [b, D]`, or [b, h, w, D]. The rows
    are spread over the local devices where b divides by their number; otherwise
    every device computes them all.

  Raises:
    jaxssl.errors.UserError: when called, if the encoder has no such layer.
  """
  mesh = modes.make_mesh(jax.local_devices())
  replicated = NamedSharding(mesh, PartitionSpec())
  by_rows = NamedSharding(mesh, PartitionSpec(modes.AXIS))
  variables = jax.device_put(variables, replicated)

  def encode(images: Any) -> jax.Array:
    sharding = replicated if len(images) % mesh.size else by_rows
    return _encode(
      variables,
      jax.device_put(images, sharding),
      encoder=encoder,
      normalize=normalize,
      layer=layer,
      spatial=spatial,
    )

  return encode


def require_layer(
  encoder: Encoder,
  variables: PyTree,
  normalize: Callable[[jax.Array], jax.Array],
  layer: str,
  *,
  rule: Preprocessing,
) -> None:
  """Refuses a layer that the encoder lacks; computes nothing.

  Args:
    encoder: see `encode_fn`.
    variables: see `encode_fn`.
    normalize: see `encode_fn`.
    layer: see `encode_fn`.
    rule: how its images are prepared.

  Raises:
    jaxssl.errors.UserError: if there is none of this name.
  """
  images = jax.ShapeDtypeStruct(
    (1, rule.image_size, rule.image_size, rule.num_channels), np.uint8
  )
  encode = functools.partial(
    _encode, encoder=encoder, normalize=normalize, layer=layer
  )
  jax.eval_shape(encode, variables, images)


def map_side(
  encoder: Encoder,
  variables: PyTree,
  layer: str | None,
  *,
  rule: Preprocessing,
) -> int:
  """Returns how many places a map has in a column; computes nothing.

  Args:
    encoder: see `encode_fn`.
    variables: see `encode_fn`.
    layer: see `encode_fn`.
    rule: how its images are prepared.

  Raises:
    jaxssl.errors.UserError: if the encoder has no such map.
  """
  images = jax.ShapeDtypeStruct(
    (1, rule.image_size, rule.image_size, rule.num_channels), np.float32
  )
  encode = functools.partial(
    _encode, encoder=encoder, normalize=jnp.asarray, layer=layer, spatial=True
  )
  return jax.eval_shape(encode, variables, images).shape[1]


@functools.partial(
  jax.jit, static_argnames=('encoder', 'normalize', 'layer', 'spatial')
)
def _encode(
  variables: PyTree,
  images: jax.Array,
  *,
  encoder: Encoder,
  normalize: Callable[[jax.Array], jax.Array],
  layer: str | None,
  spatial: bool = False,
) -> jax.Array:
  features, out = encoder.apply(variables, normalize(images), train=False)

  if spatial:
    found = spatial_map(out, (images.shape[1], images.shape[2]), layer)
    return found.astype(jnp.float32)
  if layer is not None:
    if layer not in out:
      raise errors.unknown('layer', layer, out)
    features = out[layer]
  features = features.astype(jnp.float32)
  return features.mean(axis=tuple(range(1, features.ndim - 1)))


def extract(
  encode: Encode,
  batches: Iterable[Mapping[str, Any]],
  *,
  class_names: Iterable[str] = (),
) -> Features:
  """Encodes a data set.

  Args:
    encode: function of the images of a batch, see `encode_fn`.
    batches: evaluation batches: `image` [b, ...]; `label` int32 [b] (-1 for all
      if absent); `mask` bool [b], False for rows that only pad (all real if
      absent).
    class_names: names of the classes, in the order of the labels.

  Returns:
    The features of the real rows, in order.

  Raises:
    jaxssl.errors.UserError: if there is no real row, or if a feature is not a
      finite number.
  """
  found, _ = extract_records(encode, batches, class_names=class_names)
  return found


def extract_records(
  encode: Encode,
  batches: Iterable[Mapping[str, Any]],
  *,
  class_names: Iterable[str] = (),
) -> tuple[Features, np.ndarray]:
  """Encodes a data set, and tells of which record each row is.

  Args:
    encode: see `extract`.
    batches: as of `extract`, with `index` int [b], the numbers of the records
      (-1 for all if absent).
    class_names: see `extract`.

  Returns:
    What `extract` returns, and the numbers of the records, int [n].

  Raises:
    jaxssl.errors.UserError: as `extract`.
  """
  features, labels, index = [], [], []
  for batch in batches:
    rows = len(batch['image'])
    mask = np.asarray(batch.get('mask', np.ones(rows, bool)), bool)
    unknown = np.full(rows, -1)
    label = np.asarray(batch.get('label', unknown), np.int32)
    features.append(np.asarray(encode(batch['image']), np.float32)[mask])
    labels.append(label[mask])
    index.append(np.asarray(batch.get('index', unknown))[mask])
  if not sum(map(len, labels)):
    raise errors.UserError(
      'there is no image to encode; the data set is empty, or not one picture '
      'can be read'
    )
  found = Features(
    np.concatenate(features), np.concatenate(labels), tuple(class_names)
  )
  return found, np.concatenate(index)


def cached(
  path: str | os.PathLike[str],
  fingerprint: str,
  compute: Callable[[], Features],
) -> Features:
  """Reads features from a file, or computes and writes them.

  Args:
    path: `.npz` file; its folder is made.
    fingerprint: names all that the features depend on: weights (step and hash
      of the config), data, split, image size, layer. Another fingerprint than
      the file's means that the file is out of date.
    compute: computes the features; called if the file is absent, out of date or
      damaged (the last with a warning in the log).

  Returns:
    The features.

  Raises:
    jaxssl.errors.UserError: if the file cannot be written.
  """
  path = make_path(path)
  found = _read(path, fingerprint)
  if found is None:
    found = compute()
    _write(path, fingerprint, found)
  return found


def _read(path: Path, fingerprint: str) -> Features | None:
  """Returns the features of a cache file that is whole and up to date."""
  if not path.exists():
    return None
  try:
    file = npz_file.read(path)
    if str(file['fingerprint']) != fingerprint:
      return None
    names = tuple(str(name) for name in file['class_names'])
    return Features(file['features'], file['labels'], names)
  except (OSError, npz_file.DamagedError, KeyError) as error:
    logging.warning('%s is damaged (%s); computing it again', path, error)
    return None


def _write(path: Path, fingerprint: str, data: Features) -> None:
  """Writes a cache file."""
  arrays = {
    'features': data.features,
    'labels': data.labels,
    'class_names': np.array(data.class_names, np.str_),
    'fingerprint': np.array(fingerprint, np.str_),
  }
  npz_file.write(path, arrays)


@jax.jit
def raw_pixels(images: jax.Array) -> jax.Array:
  """The baseline that has learned nothing: the pixels themselves.

  Args:
    images: uint8 or uint16 [b, H, W, C].

  Returns:
    float32 [b, H·W·C] in [0, 1].
  """
  largest = float(jnp.iinfo(images.dtype).max)
  return images.reshape(len(images), -1).astype(jnp.float32) / largest


@functools.partial(jax.jit, static_argnames='bins')
def color_histogram(images: jax.Array, *, bins: int = 8) -> jax.Array:
  """The baseline that sees colour and no shape: a joint RGB histogram.

  h[r, g, b] = sqrt(#{pixels in the cell} / #{pixels}), so the cosine of two
  images is the Bhattacharyya coefficient of their colour distributions.

  Args:
    images: uint8 [b, H, W, 3].
    bins: cells a channel, a power of two up to 256.

  Returns:
    float32 [b, bins³], of unit length.
  """
  cell = images.astype(jnp.int32) * bins // 256
  cell = (cell[..., 0] * bins + cell[..., 1]) * bins + cell[..., 2]
  count = functools.partial(jnp.bincount, length=bins**3)
  counts = jax.vmap(count)(cell.reshape(len(images), -1))
  return jnp.sqrt(counts / cell[0].size).astype(jnp.float32)


@functools.partial(jax.jit, static_argnames=('normalize', 'bins'))
def channel_histogram(
  images: jax.Array,
  *,
  normalize: Callable[[jax.Array], jax.Array],
  bins: int = 64,
) -> jax.Array:
  """The baseline of `color_histogram` for any channels: one histogram each.

  A joint one would have bins^C cells. The cells lie from three deviations below
  the mean of a channel to three above it, and the outer ones hold what is
  beyond: of 16 bits, pictures may fill a small part.

  Args:
    images: uint16 [b, H, W, C].
    normalize: images -> values of mean 0 and deviation 1.
    bins: cells a channel.

  Returns:
    float32 [b, C · bins], of unit length.
  """
  b, height, width, channels = images.shape
  place = jnp.floor((normalize(images) + 3.0) / 6.0 * bins)
  cell = jnp.clip(place, 0, bins - 1).astype(jnp.int32)
  cell = cell + bins * jnp.arange(channels).reshape(1, 1, 1, -1)
  count = functools.partial(jnp.bincount, length=bins * channels)
  counts = jax.vmap(count)(cell.reshape(b, -1))
  return jnp.sqrt(counts / (height * width * channels)).astype(jnp.float32)
