"""A look at the features while training: kNN and signs of collapse."""

from collections.abc import Callable, Iterable, Mapping
import dataclasses
import logging
from typing import Any

from flax import linen as nn
import jax
import numpy as np

from jaxssl.errors import UserError
from jaxssl.evals import collapse
from jaxssl.evals.features import Features, encode_fn, extract
from jaxssl.evals.knn import Knn

PyTree = Any
Batches = Callable[[], Iterable[Mapping[str, Any]]]

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
  """What a look at the features finds.

  Attributes:
    scalars: `knn/top1` (0 to 1, if there are labels that suit) and the
      indicators of collapse.
    features: float [m, D] of the queries, or of the bank without queries.
    right: whether the kNN finds the label of each query that has one, bool;
      None without labels that suit.
  """

  scalars: dict[str, float]
  features: np.ndarray
  right: np.ndarray | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnlineEvaluation:
  """Classifies test images by their neighbours among the training images.

  Not a benchmark number: it sees at most `limit` images (set by who makes the
  batches) and one k. `jaxssl eval knn` runs the protocol. Labels that cannot be
  judged by, such as those of a single class, are no reason not to train: the
  features are then watched, and not classified.

  Attributes:
    encoder: module, images -> (features, out).
    normalize: uint8 images -> what the encoder takes.
    train_batches: returns the evaluation batches of the bank.
    test_batches: returns those of the queries, or None if there is no split.
    train_names: names of the labels of the bank; without names equal labels
      are the same class.
    test_names: names of the labels of the queries.
    k: neighbours.
  """

  encoder: nn.Module
  normalize: Callable[[jax.Array], jax.Array]
  train_batches: Batches
  test_batches: Batches | None
  train_names: tuple[str, ...] = ()
  test_names: tuple[str, ...] = ()
  k: int = 20
  _told: set[str] = dataclasses.field(default_factory=set, repr=False)

  def __call__(
    self, towers: Mapping[str, PyTree], step: int
  ) -> dict[str, float]:
    """Returns the scalars of `look`."""
    return self.look(towers, step).scalars

  def look(self, towers: Mapping[str, PyTree], step: int) -> Look:
    """Looks at the features of an encoder.

    Args:
      towers: what `Method.export` returns; the tower `encoder` is used.
      step: optimizer steps behind them; before the first, features that are
        alike are no fault.
    """
    encode = encode_fn(self.encoder, towers['encoder'], self.normalize)
    train = extract(encode, self.train_batches(), class_names=self.train_names)
    test = self.test_batches and extract(
      encode, self.test_batches(), class_names=self.test_names
    )
    looked_at = train if test is None else test
    scalars = self._collapse(looked_at, step)
    right = None if test is None else self._hits(train, test)
    if right is not None:
      scalars['knn/top1'] = float(right.mean())
    return Look(scalars=scalars, features=looked_at.features, right=right)

  def _hits(self, train: Features, test: Features) -> np.ndarray | None:
    if not (_labelled(train) and _labelled(test)):
      return None
    try:
      return Knn(ks=(self.k,)).hits(train, test)
    except UserError as error:
      # The labels of every look are the same, so it is the same each time.
      if str(error) not in self._told:
        self._told.add(str(error))
        _log.warning('no online kNN: %s', error)
      return None

  def _collapse(self, data: Features, step: int) -> dict[str, float]:
    scalars = collapse.examine(data.features)
    advice = collapse.warning(scalars) if scalars and step else None
    if advice:
      _log.warning('%s', advice)
    return scalars


def _labelled(data: Features) -> bool:
  return bool(np.any(data.labels >= 0))
