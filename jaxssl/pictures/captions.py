"""Pictures with the sentences that fit best, of an image-text run."""

from collections.abc import Sequence

import numpy as np

from jaxssl.data.captions import Captions
from jaxssl.data.shown import show_like
from jaxssl.data.source import Source
from jaxssl.pictures import report_blocks as blocks
from jaxssl.pictures.of_run import LookedAt
from jaxssl.runs import sources, towers
from jaxssl.train.workdir import Workdir

_CAPTIONS = 256
_BEST = 3


def captions(
  workdir: Workdir, source: Source, looked_at: LookedAt, step: int | None
) -> list[str]:
  """Returns HTML with a heading; nothing for a run without texts.

  Args:
    workdir: of the run.
    source: the pictures that are drawn.
    looked_at: how many of them.
    step: of the checkpoint; None: the newest.
  """
  if source.captions is None or not workdir.config_path.exists():
    return []
  if not workdir.read_config().get('text'):
    return []
  model = towers.load(workdir, step=step)
  batch = next(
    iter(sources.batches(source, model.exported, limit=looked_at.num_images))
  )
  mask, texts_of = batch['mask'], source.captions
  own = [texts_of[i] for i in batch['index'][mask].tolist()]
  pool = sorted(_pool(texts_of) | {text for texts in own for text in texts})
  rows = np.asarray(model.encode_images(batch['image']))[mask]
  scores = rows @ model.encode_text(pool).T
  images = batch['image'][mask]
  items = [
    (image, lines(texts, pool, row))
    for image, texts, row in zip(
      show_like(images)(images), own, scores, strict=True
    )
  ]
  words = (
    'Each picture with its own caption, its cosine and its place among '
    f'{len(pool)} captions, and the {_BEST} that fit best to the model.'
  )
  return [blocks.heading('Pictures and sentences', words) + blocks.cards(items)]


def _pool(captions: Captions) -> set[str]:
  count = len(captions)
  spread = np.linspace(0, count - 1, min(count, _CAPTIONS)).astype(int)
  return {text for i in spread.tolist() for text in captions[i][:1]}


def lines(
  own: Sequence[str], pool: Sequence[str], scores: np.ndarray
) -> list[str]:
  """Returns the own caption with its place, and the best of all.

  Args:
    own: captions of the picture; the first is shown.
    pool: sentences, among them the own ones.
    scores: float [len(pool)], how well each fits.
  """
  order = np.argsort(-scores, kind='stable').tolist()
  caption = 'caption: none'
  if own:
    at = pool.index(own[0])
    place = order.index(at) + 1
    caption = f'caption: {own[0]} ({scores[at]:.2f}, place {place})'
  return [caption, *(f'{scores[i]:.2f} {pool[i]}' for i in order[:_BEST])]
