"""Crops of the photographs that ship with scikit-image: real and offline."""

import numpy as np

from jaxssl.data.arrays import Arrays
from jaxssl.data.optional import require
from jaxssl.data.order import mix64
from jaxssl.data.photo_captions import CAPTIONS
from jaxssl.errors import UserError, unknown

PICTURES = (
  'astronaut',
  'brick',
  'camera',
  'cat',
  'cell',
  'clock',
  'coffee',
  'coins',
  'colorwheel',
  'grass',
  'gravel',
  'horse',
  'hubble_deep_field',
  'immunohistochemistry',
  'moon',
  'page',
  'retina',
  'rocket',
  'text',
)
TRAIN_SHARE = 0.65
CROPS_PER_PICTURE = {'train': 256, 'test': 64}


def photos(
  *,
  split: str = 'train',
  crop: int = 64,
  size: int = 32,
  crops_per_picture: int | None = None,
  pictures: tuple[str, ...] = PICTURES,
  seed: int = 0,
) -> Arrays:
  """Makes square crops of 19 photographs; the label is the picture.

  The captions of a crop (`photo_captions`) are those of its picture.

  Training crops lie in the left 65 % of the columns of each picture, test crops
  in the rest, so that no pixel is in both. Positions are uniform and the same
  on every machine. Each crop is reduced by the mean of whole blocks of pixels.

  Args:
    split: `'train'` or `'test'`.
    crop: side of the crop in pixels of the photograph, at most 134.
    size: side of the image that is made of it; divides `crop`.
    crops_per_picture: default 256 for training and 64 for test.
    pictures: names of the photographs, in the order of their labels.
    seed: seed of the positions.

  Returns:
    A source of len(pictures) * crops_per_picture images, uint8 [size, size, 3].

  Raises:
    UserError: for an unknown split or photograph, sizes that do not fit, or
      without scikit-image.
  """
  if split not in CROPS_PER_PICTURE:
    raise unknown('split of photos', split, CROPS_PER_PICTURE)
  pictures = tuple(pictures)
  for name in pictures:
    if name not in PICTURES:
      raise unknown('photograph of photos', name, PICTURES)
  if size <= 0 or crop % size:
    raise UserError(f'photos: size {size} does not divide crop {crop}')
  count = crops_per_picture or CROPS_PER_PICTURE[split]
  crops = []
  for name in pictures:
    # Crops of a photograph are the same, whichever others there are.
    label = PICTURES.index(name)
    region = _region(_picture(name), split)
    key = seed, label, split == 'test'
    crops += [_crops(region, crop, count, key, name)]
  images = _reduce(np.concatenate(crops), crop // size)
  labels = np.repeat(np.arange(len(pictures)), count)
  return Arrays(
    images,
    labels,
    class_names=pictures,
    captions=[CAPTIONS[pictures[label]] for label in labels],
    name=f'photos/{split}',
  )


def region(name: str, split: str) -> np.ndarray:
  """Returns the part of a photograph that a split has, uint8 [H, W, 3].

  Args:
    name: one of `PICTURES`.
    split: `'train'` or `'test'`.

  Raises:
    UserError: for an unknown photograph, or without scikit-image.
  """
  if name not in PICTURES:
    raise unknown('photograph', name, PICTURES)
  return _region(_picture(name), split)


def _picture(name: str) -> np.ndarray:
  image = getattr(require('skimage.data', extra='photos'), name)()
  if image.dtype == bool:
    image = image.astype(np.uint8) * 255
  if image.ndim == 2:
    image = np.stack([image] * 3, axis=-1)
  return image


def _region(image: np.ndarray, split: str) -> np.ndarray:
  border = int(TRAIN_SHARE * image.shape[1])
  return image[:, :border] if split == 'train' else image[:, border:]


def _crops(
  region: np.ndarray, crop: int, count: int, key: tuple[int, ...], name: str
) -> np.ndarray:
  rows, columns = (side - crop + 1 for side in region.shape[:2])
  if min(rows, columns) <= 0:
    raise UserError(
      f'photos: crop {crop} is larger than the {region.shape[0]} x '
      f'{region.shape[1]} pixels that the split has of {name!r}'
    )
  draws = mix64(*key, np.arange(count)[:, None], np.arange(2))
  tops, lefts = (draws % np.array([rows, columns], np.uint64)).T.astype(int)
  return np.stack(
    [
      region[top : top + crop, left : left + crop]
      for top, left in zip(tops, lefts, strict=True)
    ]
  )


def _reduce(images: np.ndarray, factor: int) -> np.ndarray:
  n, side, _, channels = images.shape
  size = side // factor
  blocks = images.reshape(n, size, factor, size, factor, channels)
  total = blocks.sum(axis=(2, 4), dtype=np.uint32)
  area = factor * factor
  return ((total + area // 2) // area).astype(np.uint8)
