"""One row of a batch: which record, decoded and cropped how."""

from collections.abc import Callable
import dataclasses
import logging
from typing import Any

import numpy as np

from jaxssl.augment.bands import Bands
from jaxssl.augment.crop_spec import CropSpec, Resizer
from jaxssl.augment.preprocessing import Preprocessing
from jaxssl.data import crop, decode, raster
from jaxssl.data.batch_shapes import pixel_type
from jaxssl.data.captions import Captions
from jaxssl.data.optional import tensorflow
from jaxssl.data.order import mix64
from jaxssl.data.source import Source
from jaxssl.errors import UserError

MAX_PIXELS = decode.MAX_PIXELS

EncodeText = Callable[[list[str]], np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
  """A pure function from stream positions to rows.

  Attributes:
    source: where records come from.
    locate: stream positions to `(epoch, index)`.
    seed: seed of the random crops.
    crops: one random crop a view; empty for whole pictures.
    preprocessing: how whole pictures are resized and cut, or None to leave
      them as they are.
    bands: how pictures are read; None: as 8-bit RGB.
    resizer: what resizes the crops.
    max_pixels: pictures with more pixels are not decoded.
    encode_text: captions to int32 [b, L] token ids, for sources with captions;
      None for rows without `text`.
    captions: captions K of a row.
  """

  source: Source
  locate: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
  seed: int = 0
  crops: tuple[CropSpec, ...] = ()
  preprocessing: Preprocessing | None = None
  bands: Bands | None = None
  resizer: Resizer = 'pillow'
  max_pixels: int = MAX_PIXELS
  encode_text: EncodeText | None = None
  captions: int = 1

  @property
  def shapes(self) -> tuple[tuple[int, int, int], ...]:
    """Shape of each picture of a row."""
    if self.crops:
      return tuple((s.size, s.size, self._channels) for s in self.crops)
    if self.preprocessing is not None:
      size = self.preprocessing.image_size
      return ((size, size, self._channels),)
    return (self._stored_shape(),)

  @property
  def _channels(self) -> int:
    return pixel_type(self.bands)[0]

  @property
  def dtype(self) -> type[np.generic]:
    """Type of a value of a picture."""
    return pixel_type(self.bands)[1]

  def _stored_shape(self) -> tuple[int, int, int]:
    return self.source.fetch(np.zeros(1, np.int64)).content.shape[1:]

  def fetch(
    self, positions: np.ndarray, *, replacement: dict[int, int]
  ) -> dict[str, np.ndarray]:
    """Reads the records of some rows, without decoding.

    Args:
      positions: int64 [b] stream positions.
      replacement: for each unreadable record, the record to take instead.

    Returns:
      `content` and `label` of `Records`; `position`, `index` int64 [b]; `key`
      int64 [b, max(1, views), 2], the seed of each crop; with `encode_text`,
      `text` int32 [b, L], of one caption a row, or [b, K, L].
    """
    epoch, index = self.locate(positions)
    if replacement:
      index = np.array([replacement.get(int(i), i) for i in index], np.int64)
    records = self.source.fetch(index)
    # At least one: TensorFlow 2.21 crashes on unbatching an empty component.
    views = np.arange(max(1, len(self.crops)))
    # The record and not the position: a replaced row is a function of what
    # replaces it, whether that was known before reading or not.
    words = (self.seed, epoch[:, None, None], index[:, None, None])
    key = mix64(*words, views[:, None], np.arange(2)).astype(np.int64)
    rows = {
      'content': records.content,
      'label': records.label,
      'position': positions,
      'index': index,
      'key': key,
    }
    if self.encode_text is not None:
      texts = self._captions().draw(
        index, epoch=epoch, seed=self.seed, each=self.captions
      )
      text = self.encode_text(texts)
      if self.captions > 1:
        text = text.reshape(len(index), self.captions, -1)
      rows['text'] = text
    return rows

  def _captions(self) -> Captions:
    if self.source.captions is None:
      raise UserError(f'{self.source.name} has no captions to learn from')
    return self.source.captions

  def render(self, content: Any, key: Any) -> Any:
    """Decodes and crops one record in a TensorFlow graph.

    Args:
      content: string, or uint8 [H, W, 3] for a source of pixels.
      key: int64 [views, 2].

    Returns:
      Tuple of uint8 [S_v, S_v, 3], one per view; with `bands` uint16 of C
      channels.
    """
    tf = tensorflow()
    if self.source.content == 'pixels':
      return self.render_pixels(content, key)
    if self.source.content == 'paths':
      content = tf.io.read_file(content)
    if self.bands is not None:
      return self.render_pixels(self._read_bands(content), key)
    return tf.cond(
      decode.plain_jpeg(content),
      lambda: self._from_jpeg(content, key),
      lambda: self.render_pixels(
        decode.anything(content, max_pixels=self.max_pixels), key
      ),
    )

  def decode(self, content: bytes) -> np.ndarray:
    """Decodes a picture in Python, [H, W, C].

    Raises:
      UnreadableError: for anything that cannot be decoded completely.
    """
    if self.bands is None:
      return decode.exact(content, max_pixels=self.max_pixels)
    return raster.exact(content, self.bands, max_pixels=self.max_pixels)

  def _read_bands(self, content: Any) -> Any:
    tf = tensorflow()
    pixels = tf.numpy_function(
      self.decode, [content], tf.uint16, stateful=False
    )
    return tf.ensure_shape(pixels, [None, None, self._channels])

  def _from_jpeg(self, content: Any, key: Any) -> Any:
    size = decode.jpeg_size(content, max_pixels=self.max_pixels)
    if not self.crops:
      tf = tensorflow()
      with tf.control_dependencies([size]):
        return self._prepared(decode.jpeg(content))
    # One window around all views: a second entropy decoding costs more than
    # the inverse transform of what lies between them.
    boxes = self._boxes(size, key)
    window = crop.union(boxes)
    return self._cropped(decode.jpeg(content, window), boxes, window[:2])

  def render_pixels(self, pixels: Any, key: Any) -> Any:
    """Crops decoded pixels, [H, W, C]; otherwise as `render`."""
    if not self.crops:
      return self._prepared(pixels)
    boxes = self._boxes(tensorflow().shape(pixels)[:2], key)
    return self._cropped(pixels, boxes, [0, 0])

  def _boxes(self, size: Any, key: Any) -> list[Any]:
    return [
      crop.random_box(spec, size, key[view])
      for view, spec in enumerate(self.crops)
    ]

  def _cropped(self, pixels: Any, boxes: list[Any], corner: Any) -> Any:
    tf = tensorflow()
    places = tf.stack(boxes) - tf.concat([corner, [0, 0]], axis=0)
    return self._in_python(self._crop, pixels, places)

  def _crop(self, pixels: np.ndarray, boxes: np.ndarray) -> list[np.ndarray]:
    return [
      crop.resize(
        pixels[top : top + height, left : left + width],
        spec.size,
        interpolation=spec.interpolation,
        resizer=self.resizer,
      )
      for (top, left, height, width), spec in zip(
        boxes.tolist(), self.crops, strict=True
      )
    ]

  def _prepared(self, pixels: Any) -> Any:
    rule = self.preprocessing
    if rule is None:
      return (tensorflow().ensure_shape(pixels, self.shapes[0]),)
    return self._in_python(lambda whole: [crop.prepare(whole, rule)], pixels)

  def _in_python(self, function: Any, pixels: Any, *more: Any) -> Any:
    tf = tensorflow()
    pictures = tf.numpy_function(
      function,
      [pixels, *more],
      [pixels.dtype] * len(self.shapes),
      stateful=False,
    )
    return tuple(
      tf.ensure_shape(picture, shape)
      for picture, shape in zip(pictures, self.shapes, strict=True)
    )


class Faults:
  """Unreadable records: counted, named once, replaced or refused.

  Args:
    source: where records come from.
    strict: raise instead of replacing.
    on_bad: called with name and reason of each bad record; None logs a warning.
  """

  def __init__(
    self,
    source: Source,
    *,
    strict: bool = False,
    on_bad: Callable[[str, str], None] | None = None,
  ):
    self._source = source
    self._strict = strict
    self._on_bad = on_bad or _warn
    self._reasons: dict[int, str] = {}
    self.replacement: dict[int, int] = {}

  @property
  def count(self) -> int:
    """Number of different records found unreadable."""
    return len(self._reasons)

  def __contains__(self, index: int) -> bool:
    return index in self._reasons

  def add(self, index: int, reason: str) -> None:
    """Notes an unreadable record.

    Raises:
      UserError: if strict.
    """
    if index in self._reasons:
      return
    self._reasons[index] = reason
    name = self._source.describe(index)
    if self._strict:
      raise UserError(f'{name} cannot be read: {reason}')
    self._on_bad(name, reason)


def _warn(name: str, reason: str) -> None:
  logging.getLogger('jaxssl').warning(
    '%s cannot be read (%s); it is left out', name, reason
  )
