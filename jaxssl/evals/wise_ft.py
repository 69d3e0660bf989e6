"""Weights between an encoder and its fine-tuned self.

Wortsman et al. 2022 (WiSE-FT, arXiv:2109.01903), section 3; mlfoundations/
wise-ft. Between zero-shot and fine-tuned weights, accuracy under shift is often
above both ends.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
import numpy as np

from jaxssl import errors
from jaxssl.evals import labels, shifted_sets
from jaxssl.evals.needs import PyTree, TunedWeights
from jaxssl.evals.table import Metrics, Table

# Columns of every result; the sets have names of their own.
REFERENCE, SHIFTED = 'reference', 'shifted'
# Behind the name of a column: the mean over classes instead of images.
PER_CLASS = '_mean_per_class'


@dataclasses.dataclass(frozen=True, kw_only=True)
class WiseFT:
  """Weights between before and after a fine-tuning from texts.

  Attributes:
    finetuned: folder in WORKDIR/finetune; None: the only one there that began
      with texts.
    shifted: sets of another distribution: a TFDS name, a folder or a file each,
      with :SPLIT behind it where that is not test.
    class_map: JSON file, class of a shifted set -> class of the data, or null
      for classes that do not count; None: classes of the same name.
    alphas: shares α of the fine-tuned weights, in ascending order.
  """

  name = 'wise_ft-v1'
  needs: ClassVar[type] = TunedWeights
  finetuned: str | None = None
  shifted: Mapping[str, str] = dataclasses.field(
    default_factory=dict, metadata=shifted_sets.NAMED
  )
  class_map: Mapping[str, str | None] | None = dataclasses.field(
    default=None, metadata=shifted_sets.CLASS_MAP
  )
  alphas: tuple[float, ...] = tuple(i / 10 for i in range(11))

  check = labels.require

  def __post_init__(self) -> None:
    """Raises `UserError` for settings that make no sense."""
    ordered = sorted(set(self.alphas))
    if list(self.alphas) != ordered or not ordered:
      raise errors.UserError(
        f'alphas must be different ones in ascending order, got {self.alphas}'
      )
    if ordered[0] < 0 or ordered[-1] > 1:
      raise errors.UserError(f'alphas must be in [0, 1], got {self.alphas}')
    for name in (REFERENCE, SHIFTED):
      if name in self.shifted:
        raise errors.UserError(f'a shifted set cannot be called {name!r}')

  def run(
    self,
    start: PyTree,
    end: PyTree,
    evaluate: Callable[[PyTree], Mapping[str, float]],
  ) -> dict[str, float]:
    """Returns the accuracies of all α.

    Args:
      start: variables of encoder and classifier before fine-tuning.
      end: the same after it.
      evaluate: such variables -> `reference`, accuracy without shift, and that
        on each set, `<set>`; the same with `_mean_per_class`, the mean over
        classes.

    Returns:
      `<column>_<α>` for each column and α, where `shifted` is the mean of the
      sets; `top1` and `mean_per_class`, those of `shifted` at the `middle`.
    """

    def all_of(variables: PyTree) -> dict[str, float]:
      found = evaluate(variables)
      means = {
        SHIFTED + ending: float(
          np.mean([found[name + ending] for name in self.shifted])
        )
        for ending in ('', PER_CLASS)
      }
      return {**means, **found}

    found = sweep(start, end, all_of, alphas=self.alphas)
    chosen = found[middle(found)]
    return {
      'top1': chosen[SHIFTED],
      'mean_per_class': chosen[SHIFTED + PER_CLASS],
      **{
        f'{column}_{alpha:g}': value
        for alpha, row in found.items()
        for column, value in row.items()
      },
    }

  def by_alpha(self, metrics: Metrics) -> dict[float, dict[str, float]]:
    """Returns top-1 by α and column of what `run` returned."""
    columns = (REFERENCE, SHIFTED, *self.shifted)
    return {
      alpha: {column: metrics[f'{column}_{alpha:g}'] for column in columns}
      for alpha in self.alphas
    }

  def table(self, metrics: Metrics, *, encoder: str, data: str) -> Table:
    """Returns a line per α; see `Evaluation.table`.

    Args:
      metrics: what `run` returns.
      encoder: name of the encoder.
      data: name of the data.
    """
    del encoder
    rows = {f'{alpha:g}': row for alpha, row in self.by_alpha(metrics).items()}
    return Table(f'share, top-1 % on {data}', rows)


def middle(alphas: Iterable[float]) -> float:
  """Returns the α nearest to 0.5.

  The authors recommend 0.5 where nothing is known to choose it by.
  """
  return min(alphas, key=lambda alpha: abs(alpha - 0.5))


def interpolate(start: PyTree, end: PyTree, alpha: float) -> PyTree:
  """Returns (1 - α) start + α end, leaf by leaf, in float32.

  Running statistics of BatchNorm are interpolated like weights.

  Args:
    start: Flax variables, for example those of `ExportedEncoder`.
    end: Flax variables of the same structure and shapes.
    alpha: α, 0 for `start` and 1 for `end`.

  Raises:
    jaxssl.errors.UserError: if a leaf is missing or has another shape.
  """
  for path, a, b in _pairs(start, end):
    if a != b:
      raise errors.UserError(
        f'no weights between these two: {path} has shape {a} in one and {b} '
        'in the other'
      )

  def between(a: ArrayLike, b: ArrayLike) -> jax.Array:
    a, b = jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32)
    return (1 - alpha) * a + alpha * b

  return jax.tree.map(between, start, end)


def _pairs(
  start: PyTree, end: PyTree
) -> Iterator[tuple[str, tuple[int, ...] | None, tuple[int, ...] | None]]:
  """Yields name and shapes of every leaf, None where there is none."""
  first, second = (
    {
      jax.tree_util.keystr(path, simple=True, separator='.'): jnp.shape(leaf)
      for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }
    for tree in (start, end)
  )
  for path in first | second:
    yield path, first.get(path), second.get(path)


def sweep(
  start: PyTree,
  end: PyTree,
  evaluate: Callable[[PyTree], Mapping[str, float]],
  *,
  alphas: Sequence[float],
) -> dict[float, dict[str, float]]:
  """Evaluates the weights between two encoders.

  Args:
    start: see `interpolate`.
    end: see `interpolate`.
    evaluate: Flax variables -> accuracy by data set, with and without shift.
      Classifiers whose weights are trained belong to the variables.
    alphas: values of α.

  Returns:
    The accuracies by α.
  """
  return {a: dict(evaluate(interpolate(start, end, a))) for a in alphas}
