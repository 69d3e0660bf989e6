"""Segmentation by the nearest training patches; nothing is trained.

In-context segmentation of Balazevic et al. 2023 (Hummingbird,
arXiv:2306.01667, section 3.1): a bank of training patches, each with the share
of every class in its pixels, is looked up by attention.
"""

from collections.abc import Callable
import dataclasses
import functools
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import errors
from jaxssl.data import dense
from jaxssl.data.dense import Pictures
from jaxssl.data.targets import Kind
from jaxssl.evals import confusion, knn, pixel_classes, sliding
from jaxssl.evals.needs import DenseFeatures
from jaxssl.evals.patch_features import PatchEncoder
from jaxssl.evals.sliding import Windowed
from jaxssl.evals.table import headlines
from jaxssl.fields import Count, Positive, check_fields

# Queries that are compared with the whole bank at a time.
_CHUNK = 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class KnnSegmentation:
  """Classes of pixels by attention to the nearest training patches.

  A test patch q gets the class shares

    y(q) = Σ_i w_i y_i,  w = softmax(cos(q, x_i) / T) over the k nearest x_i,

  which are interpolated to the pixels; the largest one is the answer. The bank
  has as many patches of each training picture, drawn at random among those with
  a known pixel; the authors draw patches with rare classes more often.

  Attributes:
    bank_size: patches in the bank, about; it must fit on one device.
    k: neighbours.
    temperature: T.
    batch_size: windows at a time.
    size: side of a window in pixels; none is that of the encoder's pictures.
    side: what the shorter side of a picture becomes; none is that of a window.
    seed: seed of the drawn patches.
  """

  name = 'knn_segmentation-v1'
  needs: ClassVar[type] = DenseFeatures
  target: ClassVar[Kind] = 'mask'
  bank_size: Count = 50_000
  k: Count = 30
  temperature: Positive = 0.02
  batch_size: Count = 16
  size: int | None = None
  side: int | None = None
  seed: int = 0

  check = pixel_classes.require
  table = headlines('miou', 'pixel_accuracy', 'class_accuracy')

  def __post_init__(self) -> None:
    """Raises `UserError` for numbers that make no sense."""
    check_fields(self)

  def run(
    self, patches: PatchEncoder, train: Pictures, test: Pictures
  ) -> dict[str, float]:
    """Fills the bank and measures.

    Args:
      patches: the encoder.
      train: training pictures with masks.
      test: test pictures with masks of the same classes.

    Returns:
      As `linear_segmentation.LinearSegmentation.run`, and `num_patches` of the
      bank.

    Raises:
      jaxssl.errors.UserError: if the classes do not fit, or no picture can be
        read.
    """
    classes = pixel_classes.of_both(train, test)
    bank = self.bank(patches, train, len(classes.names))
    found = sliding.predictions(
      bank.predictor(patches, k=self.k, temperature=self.temperature),
      sliding.windowed(test, patches, side=self._side(patches)),
      size=patches.size,
      batch_size=self.batch_size,
    )
    answers = ((truth, shares.argmax(axis=-1)) for truth, shares in found)
    return {
      **confusion.report(answers, classes),
      'num_patches': len(bank.features),
      'num_train': train.num_read,
      'num_test': test.num_read,
    }

  def bank(
    self, patches: PatchEncoder, train: Pictures, num_classes: int
  ) -> 'Bank':
    """Returns patches of training pictures.

    Args:
      patches: the encoder.
      train: training pictures with masks.
      num_classes: K.

    Raises:
      jaxssl.errors.UserError: if no picture can be read.
    """
    quota = -(-self.bank_size // len(train))
    features, shares = [], []
    for each, maps in sliding.maps_of(
      patches,
      sliding.windowed(train, patches, side=self._side(patches)),
      size=patches.size,
      batch_size=self.batch_size,
    ):
      known = _patch_shares(each, patches, num_classes)
      rows = np.flatnonzero(known.any(axis=1))
      draw = np.random.default_rng((self.seed, each.example.index))
      rows = draw.permutation(rows)[:quota]
      found = np.concatenate([m.reshape(-1, m.shape[-1]) for m in maps])
      features.append(found[rows])
      shares.append(known[rows])
    if not features:
      raise errors.UserError(
        f'{train.source.name}: not one picture can be read'
      )
    return Bank(np.concatenate(features), np.concatenate(shares))

  def _side(self, patches: PatchEncoder) -> int:
    return dense.side_of(self.side, patches.size)


@dataclasses.dataclass(frozen=True)
class Bank:
  """Patches whose classes are known.

  Attributes:
    features: float32 [N, D].
    shares: share of each class in the known pixels, float32 [N, K].
  """

  features: np.ndarray
  shares: np.ndarray

  def predictor(
    self, patches: PatchEncoder, *, k: int, temperature: float
  ) -> Callable[[np.ndarray], jax.Array]:
    """Returns windows uint8 [b, S, S, 3] -> class shares [b, h, w, K].

    Args:
      patches: the encoder.
      k: neighbours; all, if the bank has fewer.
      temperature: T.
    """
    features, shares = knn.normalize(jnp.asarray(self.features)), self.shares
    shares = jnp.asarray(shares)

    def predict(images: np.ndarray) -> jax.Array:
      found = patches(images)
      queries = found.reshape(-1, found.shape[-1])
      answers = attend(
        queries, features, shares, temperature, k=min(k, len(features))
      )
      return answers.reshape(*found.shape[:-1], -1)

    return predict


@functools.partial(jax.jit, static_argnames='k')
def attend(
  queries: jax.Array,
  bank: jax.Array,
  values: jax.Array,
  temperature: float,
  *,
  k: int,
) -> jax.Array:
  """Returns the weighted mean of the values of the k nearest, float32 [q, K].

  Args:
    queries: [q, D].
    bank: unit vectors [N, D].
    values: [N, K].
    temperature: T.
    k: at most N.
  """
  missing = -len(queries) % _CHUNK
  padded = jnp.pad(queries, ((0, missing), (0, 0)))

  def some(rows: jax.Array) -> jax.Array:
    # The default precision of TF32 or bfloat16 would reorder neighbours.
    similarity = jnp.matmul(knn.normalize(rows), bank.T, precision='highest')
    nearest, at = jax.lax.top_k(similarity, k)
    weights = jax.nn.softmax(nearest / temperature, axis=-1)
    return jnp.einsum('qk,qkc->qc', weights, values[at], precision='highest')

  found = jax.lax.map(some, padded.reshape(-1, _CHUNK, padded.shape[-1]))
  return found.reshape(-1, values.shape[-1])[: len(queries)]


def _patch_shares(
  each: Windowed, patches: PatchEncoder, num_classes: int
) -> np.ndarray:
  """Returns the share of each class in each patch of all windows, [n, K]."""
  target = each.example.target
  if target is None:
    raise ValueError('a bank needs masks')
  mask = dense.resize_target(target, each.image.shape[:2])
  size = patches.size
  return np.concatenate(
    [
      class_shares(
        mask[top : top + size, left : left + size], patches.stride, num_classes
      )
      for top, left in each.corners
    ]
  )


def class_shares(mask: np.ndarray, stride: int, num_classes: int) -> np.ndarray:
  """Returns the share of each class in the known pixels of square cells.

  Args:
    mask: int [S, S], below 0 where unknown.
    stride: side of a cell; divides S.
    num_classes: K.

  Returns:
    float32 [(S / stride)², K] in reading order; zeros where nothing is known.
  """
  side = len(mask) // stride
  rows, columns = np.indices(mask.shape) // stride
  cells = np.asarray(rows * side + columns)
  known = mask >= 0
  counts = np.bincount(
    cells[known] * num_classes + mask[known], minlength=side**2 * num_classes
  ).reshape(side**2, num_classes)
  total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
  return (counts / total).astype(np.float32)
