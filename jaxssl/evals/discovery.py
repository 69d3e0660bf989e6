"""Object discovery: does the box around the most distinct patches fit?

TokenCut (Wang et al. 2022, arXiv:2202.11539), by its authors' code: the graph
of patches is cut in two where it is thinnest. Of the two published ways, LOST
(arXiv:2109.14279) grows an object from the patch with the fewest relatives,
TokenCut solves one eigenproblem, has no number of seeds to choose, and found
more of the objects in its paper.
"""

from collections.abc import Iterator
import dataclasses
from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy.linalg
import scipy.ndimage

from jaxssl import errors
from jaxssl.data import targets as targets_lib
from jaxssl.data.dense import Pictures
from jaxssl.data.source import Source
from jaxssl.data.targets import Kind
from jaxssl.evals import sliding
from jaxssl.evals.needs import DenseLook
from jaxssl.evals.patch_features import PatchEncoder
from jaxssl.evals.table import headlines
from jaxssl.fields import Count, check_fields

_WEAK = 1e-5  # weight of an edge between patches that are not alike


class Box(NamedTuple):
  """A box; the ends do not belong to it.

  Attributes:
    top: first row.
    left: first column.
    bottom: end of the rows.
    right: end of the columns.
  """

  top: float
  left: float
  bottom: float
  right: float

  @property
  def area(self) -> float:
    """Height times width."""
    return max(self.bottom - self.top, 0) * max(self.right - self.left, 0)

  def iou(self, other: 'Box') -> float:
    """Returns intersection over union."""
    both = Box(
      max(self.top, other.top),
      max(self.left, other.left),
      min(self.bottom, other.bottom),
      min(self.right, other.right),
    ).area
    return both / (self.area + other.area - both)

  def scaled(self, rows: float, columns: float) -> 'Box':
    """Returns the box in other units."""
    top, left, bottom, right = self
    return Box(top * rows, left * columns, bottom * rows, right * columns)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Discovery:
  """Objects found without training, by a cut of the graph of patches.

  Pictures are squashed to one window. The true boxes are those around each
  connected region of a class of the mask, but for the background and small
  regions; of touching objects of one class it is the box around all of them.

  Attributes:
    threshold: cosine above which two patches are alike.
    min_iou: how well a box must fit to count as found.
    background: number of the class that is no object.
    min_share: smaller regions, as a share of the picture, are no objects.
    batch_size: windows at a time.
    size: side of a window in pixels; none is that of the encoder's pictures.
  """

  name = 'discovery-v1'
  needs: ClassVar[type] = DenseLook
  target: ClassVar[Kind] = 'mask'
  threshold: float = 0.2
  min_iou: float = 0.5
  background: int = 0
  min_share: float = 0.01
  batch_size: Count = 16
  size: int | None = None

  table = headlines('corloc', 'mean_iou')

  def __post_init__(self) -> None:
    """Raises `UserError` for numbers out of range."""
    check_fields(self)

  def check(self, *sources: Source) -> None:
    """Refuses sources without masks; see `Evaluation.check`."""
    for source in sources:
      targets_lib.require(source, 'mask')

  def run(self, patches: PatchEncoder, pictures: Pictures) -> dict[str, float]:
    """Measures.

    Args:
      patches: the encoder.
      pictures: with masks.

    Returns:
      `corloc`, the share of the pictures with an object whose box fits one of
      its objects; `mean_iou`, how well it fits the best; `constant_corloc` and
      `constant_mean_iou`, those of the box around the whole picture;
      `num_test`, the pictures with an object.

    Raises:
      jaxssl.errors.UserError: if no picture has an object, or a window is one
        patch.
    """
    if patches.side < 2:
      raise errors.UserError(
        f'a window of {patches.size} pixels is one patch, with nothing to cut; '
        f'give --size {2 * patches.stride} or more'
      )
    found, constant = [], []
    for mask, features in self._features(patches, pictures):
      boxes = true_boxes(mask, self.background, self.min_share)
      if boxes:
        height, width = mask.shape
        rows, columns = height / len(features), width / features.shape[1]
        box = find(features, self.threshold).scaled(rows, columns)
        found.append(max(box.iou(other) for other in boxes))
        whole = Box(0, 0, height, width)
        constant.append(max(whole.iou(other) for other in boxes))
    if not found:
      raise errors.UserError(
        f'{pictures.source.name}: no picture has an object besides class '
        f'{self.background}; --background says which class is none'
      )
    return {
      **self._shares(found, ''),
      **self._shares(constant, 'constant_'),
      'num_test': len(found),
    }

  def _shares(self, ious: list[float], prefix: str) -> dict[str, float]:
    return {
      f'{prefix}corloc': float((np.array(ious) >= self.min_iou).mean()),
      f'{prefix}mean_iou': float(np.mean(ious)),
    }

  def _features(
    self, patches: PatchEncoder, pictures: Pictures
  ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields masks and the features of their patches, [h, w, D]."""
    squashed = sliding.windowed(
      pictures, patches, side=patches.size, how='squash'
    )
    for each, (features,) in sliding.maps_of(
      patches, squashed, size=patches.size, batch_size=self.batch_size
    ):
      if each.example.target is not None:
        yield each.example.target, features


def true_boxes(
  mask: np.ndarray, background: int, min_share: float
) -> list[Box]:
  """Returns the boxes around connected regions of each class (8 neighbours).

  Args:
    mask: int [H, W].
    background: class that is no object, as what is unknown is none.
    min_share: smaller regions, as a share of all pixels, are left out.
  """
  boxes = []
  for label in np.unique(mask[(mask >= 0) & (mask != background)]).tolist():
    regions = _regions(mask == label, np.ones((3, 3)))
    sizes = np.bincount(regions.ravel())
    for number, place in enumerate(scipy.ndimage.find_objects(regions), 1):
      if sizes[number] >= min_share * mask.size:
        rows, columns = place
        boxes.append(Box(rows.start, columns.start, rows.stop, columns.stop))
  return boxes


def find(features: np.ndarray, threshold: float) -> Box:
  """Returns the box around the object, in patches.

  Args:
    features: float [h, w, D].
    threshold: see `cut`.
  """
  part, seed = cut(features, threshold)
  regions = _regions(part, None)  # four neighbours, as the authors
  (place,) = scipy.ndimage.find_objects((regions == regions[seed]).astype(int))
  rows, columns = place
  return Box(rows.start, columns.start, rows.stop, columns.stop)


def _regions(part: np.ndarray, neighbours: np.ndarray | None) -> np.ndarray:
  """Returns the number of the connected region of each place, from 1."""
  # SciPy's types leave open what `label` returns.
  found: Any = scipy.ndimage.label(part, neighbours)
  return found[0]


def cut(
  features: np.ndarray, threshold: float
) -> tuple[np.ndarray, tuple[int, int]]:
  """Cuts the patches of a picture in two, where few are alike.

  With W_ij = 1 where cos(x_i, x_j) > threshold and 1e-5 elsewhere, and D the
  diagonal of its row sums, y is the second smallest eigenvector of
  (D - W) y = λ D y, the relaxed normalised cut (Shi & Malik 2000). Patches with
  y above its mean are one part. The object is the part that holds the patch
  with the largest |y|.

  Args:
    features: float [h, w, D].
    threshold: cosine above which two patches are alike.

  Returns:
    Which patches are the object, bool [h, w], and that patch.
  """
  rows, columns, dim = features.shape
  x = features.reshape(-1, dim).astype(np.float64)
  x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
  weights = np.where(x @ x.T > threshold, 1.0, _WEAK)
  degree = np.diag(weights.sum(axis=1))
  _, vectors = scipy.linalg.eigh(
    degree - weights, degree, subset_by_index=[1, 1]
  )
  y = vectors[:, 0]
  seed = int(abs(y).argmax())
  part = y > y.mean()
  if not part[seed]:
    part = ~part
  return part.reshape(rows, columns), (seed // columns, seed % columns)
