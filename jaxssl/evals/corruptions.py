"""How a classifier of clean images does on corrupted ones.

The corruptions of ImageNet-C (Hendrycks and Dietterich 2019, arXiv:1903.12261),
see `jaxssl.augment.corruptions.kinds`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
import dataclasses
from typing import Any, ClassVar

import jax
import numpy as np

from jaxssl import errors
from jaxssl.augment.corruptions import kinds as kinds_lib
from jaxssl.augment.corruptions import severities as severities_lib

Batch = dict[str, Any]
# Evaluation batches -> metrics with `top1` and `num_test`.
Classify = Callable[[Iterable[Batch]], Mapping[str, float]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Corruptions:
  """The protocol.

  Attributes:
    kinds: names in `kinds_lib.KINDS`.
    severities: from 1 to 5.
    seed: of the random numbers; an image has the same at every severity.
    image_size: side of the images; decides the numbers of the severities.
    classifier: name and settings of the protocol that classifies, for the
      record.
  """

  name: ClassVar[str] = 'corruptions-v2'
  kinds: tuple[str, ...] = tuple(kinds_lib.KINDS)
  severities: tuple[int, ...] = severities_lib.SEVERITIES
  seed: int = 0
  image_size: int
  classifier: Mapping[str, Any]

  def __post_init__(self):
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
      classify: see `Classify`.
      batches: starts over the evaluation batches, `image` uint8 [b, S, S, 3]
        and `index` int [b]; read once for each kind and severity.

    Returns:
      Fractions in [0, 1]: `clean`; `<kind>_<severity>`; `<kind>`, the mean over
      severities; `top1`, the mean over kinds, equally weighted. `num_test`.
    """
    clean = classify(batches())
    metrics = {'clean': clean['top1'], 'num_test': clean['num_test']}
    for kind in self.kinds:
      for severity in self.severities:
        changed = corrupted(
          batches(), kind=kind, severity=severity, seed=self.seed
        )
        metrics[f'{kind}_{severity}'] = classify(changed)['top1']
      found = [metrics[f'{kind}_{severity}'] for severity in self.severities]
      metrics[kind] = float(np.mean(found))
    mean = float(np.mean([metrics[kind] for kind in self.kinds]))
    return {'top1': mean, **metrics}


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
    seed: of the random numbers.
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
