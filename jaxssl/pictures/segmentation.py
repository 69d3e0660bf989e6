"""The classes that the nearest training patches give to pixels, as colours."""

import itertools

import numpy as np

from jaxssl.data import dense
from jaxssl.data.dense import Pictures
from jaxssl.data.shown import show_like
from jaxssl.errors import UserError
from jaxssl.evals import pixel_classes, sliding
from jaxssl.evals.knn_segmentation import KnnSegmentation
from jaxssl.evals.patch_features import PatchEncoder
from jaxssl.pictures.palette import COLORS, MANY_COLORS
from jaxssl.pictures.panel import Column, Panel

_UNKNOWN = (255, 255, 255)


def segmentation_panel(
  patches: PatchEncoder, train: Pictures, shown: Pictures
) -> Panel:
  """Draws pictures, their masks, and the masks that `knn_segmentation` finds.

  Args:
    patches: the encoder.
    train: training pictures with masks, few: all of their patches are held.
    shown: the pictures to draw, with masks.

  Raises:
    jaxssl.errors.UserError: if classes do not fit, or nothing can be read.
  """
  protocol = KnnSegmentation()
  classes = pixel_classes.of_both(train, shown)
  bank = protocol.bank(patches, train, len(classes.names))
  predict = bank.predictor(
    patches, k=protocol.k, temperature=protocol.temperature
  )
  rows = []
  size = patches.size, patches.size
  for each, (shares,) in sliding.maps_of(
    predict,
    sliding.windowed(shown, patches, side=patches.size, how='squash'),
    size=patches.size,
    batch_size=protocol.batch_size,
  ):
    if each.example.target is not None:
      truth = dense.resize_target(each.example.target, size)
      found = sliding.resize(shares, size).argmax(axis=-1)
      rows.append((each.image, truth, found))
  if not rows:
    raise UserError('none of the masks to draw can be read; give other --data')
  colors = class_colors(len(classes.names))
  images, truths, answers = zip(*rows, strict=True)
  shown_images = np.stack(images)
  return Panel(
    name='segmentation',
    title='Classes of pixels',
    text='Pictures, their masks, and what the nearest patches of '
    f'{len(train)} training pictures say (knn_segmentation), with the share '
    'of the pixels that is right. The encoder has seen no mask. White: '
    'unknown.',
    columns=[
      Column(title='image', images=show_like(shown_images)(shown_images)),
      Column(
        title='mask',
        images=np.stack([colors[truth] for truth in truths]),
        captions=[_named(truth, classes.names) for truth in truths],
      ),
      Column(
        title='nearest patches',
        images=np.stack([colors[answer] for answer in answers]),
        captions=[
          (
            f'{100 * _right(truth, answer):.0f} %',
            _named(answer, classes.names),
          )
          for truth, answer in zip(truths, answers, strict=True)
        ],
      ),
    ],
  )


def class_colors(num_classes: int) -> np.ndarray:
  """Returns a colour for each class, and behind them that of -1.

  Args:
    num_classes: K; colours repeat from the 21st on.

  Returns:
    uint8 [K + 1, 3].
  """
  names = COLORS if num_classes <= len(COLORS) else MANY_COLORS
  some = itertools.islice(itertools.cycle(names), num_classes)
  rgb = [[int(name[i : i + 2], 16) for i in (1, 3, 5)] for name in some]
  return np.array([*rgb, _UNKNOWN], np.uint8)


def _named(mask: np.ndarray, names: tuple[str, ...]) -> str:
  """Returns the names of the classes of a mask, the largest first."""
  counts = np.bincount(mask[mask >= 0].ravel(), minlength=len(names))
  order = np.argsort(-counts, kind='stable')
  return ', '.join(names[label] for label in order if counts[label])


def _right(truth: np.ndarray, answer: np.ndarray) -> float:
  known = truth >= 0
  return float((truth == answer)[known].mean()) if known.any() else 0.0
