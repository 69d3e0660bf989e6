"""How a classifier of clean images does on corrupted ones.

The corruptions of ImageNet-C (Hendrycks and Dietterich 2019, arXiv:1903.12261),
see `jaxssl.augment.corruptions.kinds`.
"""

from collections.abc import Callable, Iterable, Iterator
import dataclasses
from typing import ClassVar

import jax
import numpy as np

from jaxssl import errors
from jaxssl.augment.corruptions import kinds as kinds_lib
from jaxssl.augment.corruptions import severities as severities_lib
from jaxssl.evals import labels
from jaxssl.evals.knn import Knn
from jaxssl.evals.needs import Batch, ClassifiedImages, Classify
from jaxssl.evals.settings import FILLED_IN
from jaxssl.evals.table import Metrics, Table
from jaxssl.evals.zeroshot import ZeroShot


@dataclasses.dataclass(frozen=True, kw_only=True)
class Corruptions:
  """A classifier on corrupted test images, as ImageNet-C corrupts them.

  Attributes:
    kinds: kinds of corruption.
    severities: severities, from 1 to 5.
    seed: seed of the random numbers; an image has the same at every severity.
    image_size: side of the images; decides the numbers of the severities.
    classifier: protocol that classifies; None: zero-shot for an image-text run,
      else kNN of the training split.
  """

  name = 'corruptions-v2'
  needs: ClassVar[type] = ClassifiedImages
  kinds: tuple[str, ...] = tuple(kinds_lib.KINDS)
  severities: tuple[int, ...] = severities_lib.SEVERITIES
  seed: int = 0
  image_size: int | None = dataclasses.field(default=None, metadata=FILLED_IN)
  classifier: Knn | ZeroShot | None = dataclasses.field(
    default=None, metadata=FILLED_IN
  )

  check = labels.require

  def __post_init__(self) -> None:
    for what in ('kinds', 'severities'):
      values = getattr(self, what)
      if not values or len(set(values)) < len(values):
        raise errors.UserError(f'{what} must be different ones, got {values}')
    for kind in self.kinds:
      for severity in self.severities:
        kinds_lib.check(kind, severity)

  def run(
    self, classify: Classify, batches: Callable[[], Iterable[Batch]]
  ) -> dict[str, float]:
    """Classifies the clean images, then each kind at each severity.

    Args:
      classify: evaluation batches to metrics.
      batches: starts over the evaluation batches; read once for each kind and
        severity.

    Returns:
      Fractions in [0, 1]: `clean`; `<kind>_<severity>`; `<kind>`, the mean over
      severities; `top1`, the mean over kinds, equally weighted;
      `clean_mean_per_class` and `mean_per_class`, the same of the means over
      classes. `num_test`.
    """
    clean = classify(batches())
    metrics = {'clean': clean['top1'], 'num_test': clean['num_test']}
    per_class: list[float] = []
    for kind in self.kinds:
      for severity in self.severities:
        changed = corrupted(
          batches(), kind=kind, severity=severity, seed=self.seed
        )
        judged = classify(changed)
        metrics[f'{kind}_{severity}'] = judged['top1']
        per_class.append(judged['mean_per_class'])
      found = [metrics[f'{kind}_{severity}'] for severity in self.severities]
      metrics[kind] = float(np.mean(found))
    mean = float(np.mean([metrics[kind] for kind in self.kinds]))
    return {
      'top1': mean,
      # Every kind has the same severities, so this is the mean over kinds.
      'mean_per_class': float(np.mean(per_class)),
      'clean_mean_per_class': clean['mean_per_class'],
      **metrics,
    }

  def table(self, metrics: Metrics, *, encoder: str, data: str) -> Table:
    """Returns a line per kind; see `Evaluation.table`.

    Args:
      metrics: what `run` returns.
      encoder: name of the encoder.
      data: name of the data.
    """
    del encoder
    rows = {'clean': {'mean': metrics['clean']}}
    for kind in self.kinds:
      levels = {str(n): metrics[f'{kind}_{n}'] for n in self.severities}
      rows[kind] = {'mean': metrics[kind], **levels}
    rows['mean of the kinds'] = {'mean': metrics['top1']}
    return Table(f'{self.name} on {data}, top-1 %', rows)


def corrupted(
  batches: Iterable[Batch], *, kind: str, severity: int, seed: int
) -> Iterator[Batch]:
  """Yields batches with corrupted images.

  The random numbers of an image follow from the seed and its index, so they
  depend neither on the batch nor on what else is evaluated.

  Args:
    batches: with `image` uint8 [b, H, W, 3] and `index` int [b].
    kind: name of the corruption.
    severity: 1 to 5.
    seed: seed of the random numbers.
  """
  for batch in batches:
    keys = _keys(seed, np.asarray(batch['index']).astype(np.uint32))
    image = kinds_lib.corrupt(
      keys, batch['image'], kind=kind, severity=severity
    )
    yield {**batch, 'image': image}


@jax.jit
def _keys(seed: int, index: jax.Array) -> jax.Array:
  fold = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
  return fold(jax.random.key(seed), index)
