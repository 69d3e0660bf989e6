"""Search of images by a text and of texts by an image.

The protocol of the field on Flickr30k and COCO (Karpathy and Fei-Fei 2015,
arXiv:1412.2306; CLIP, arXiv:2103.00020, section 3.1.4 and appendix): recall@k
is the share of queries with a right answer among the first k. An image has
several right texts, of which one is enough; a text has one right image, its
own, even if another image has the same text.
"""

from collections.abc import Sequence
import dataclasses
from typing import ClassVar

import numpy as np

from jaxssl import errors, finite
from jaxssl.data.source import Source
from jaxssl.evals.features import Features
from jaxssl.evals.needs import EncodeText, TowerFeatures
from jaxssl.evals.ranks import ranks
from jaxssl.evals.table import all_metrics
from jaxssl.fields import Count, check_fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class Retrieval:
  """Recall of a search of images by a text, and of texts by an image.

  An image has found a text if one of its own captions is among the first k, a
  text an image if it is its own; texts that other images share do not count.

  Attributes:
    ks: numbers of answers k; those above the number of candidates are left out.
  """

  name = 'retrieval-v2'
  needs: ClassVar[type] = TowerFeatures
  ks: tuple[Count, ...] = (1, 5, 10)

  table = all_metrics

  def __post_init__(self) -> None:
    """Raises `UserError` for numbers out of range."""
    check_fields(self)

  def check(self, *sources: Source) -> None:
    """Refuses data without captions.

    Raises:
      UserError: if a source has none.
    """
    for source in sources:
      if source.captions is None:
        raise errors.UserError(f'{source.name} has no captions to search for')

  def run(
    self,
    images: Features,
    captions: Sequence[Sequence[str]],
    encode_text: EncodeText,
  ) -> dict[str, float]:
    """Measures recall in both directions; see `retrieval_eval`.

    Args:
      images: features of the images.
      captions: texts of each image.
      encode_text: texts to features of the same space.
    """
    owner = np.repeat(np.arange(len(captions)), [len(c) for c in captions])
    texts = [text for record in captions for text in record]
    return retrieval_eval(
      images.features, encode_text(texts), owner, ks=self.ks
    )


def retrieval_eval(
  images: np.ndarray,
  texts: np.ndarray,
  owner: np.ndarray,
  *,
  ks: Sequence[int] = (1, 5, 10),
  chunk: int = 256,
) -> dict[str, float]:
  """Measures recall in both directions.

  Args:
    images: features, float [n, K].
    texts: features, float [m, K].
    owner: int [m], the image (0 ... n-1) that each text describes; every
      image has at least one.
    ks: numbers of answers k; those above the number of candidates are left out.
    chunk: queries at a time.

  Returns:
    `image_to_text_r<k>` and `text_to_image_r<k>` for every k, fractions in
    [0, 1]; `num_images`, `num_texts`.

  Raises:
    jaxssl.errors.UserError: if an image has no text, or a text no image, or no
      k is left.
  """
  numbers = np.arange(len(images))
  if min(ks, default=1) > min(len(images), len(texts)):
    raise errors.UserError(
      f'{len(images)} images and {len(texts)} texts are fewer than '
      f'{min(ks)} answers; give a smaller --ks'
    )
  if len(owner) != len(texts) or set(owner.tolist()) != set(numbers.tolist()):
    raise errors.UserError('every text needs an image and every image a text')
  finite.require_rows(images, 'features of images')
  finite.require_rows(texts, 'features of texts')
  ids = {'image': numbers, 'text': owner}
  both = {'image': images, 'text': texts}
  metrics: dict[str, float] = {}
  for query, answer in (('image', 'text'), ('text', 'image')):
    place = ranks(
      both[query],
      both[answer],
      query_ids=ids[query],
      bank_ids=ids[answer],
      chunk=chunk,
    )
    metrics |= {
      f'{query}_to_{answer}_r{k}': float((place < k).mean())
      for k in ks
      if k <= len(both[answer])
    }
  return {**metrics, 'num_images': len(images), 'num_texts': len(texts)}
