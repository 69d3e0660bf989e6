"""Weights between an encoder and its fine-tuned self.

Wortsman et al. 2022 (WiSE-FT, arXiv:2109.01903), section 3; mlfoundations/
wise-ft. Between zero-shot and fine-tuned weights, accuracy under shift is often
above both ends.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxssl import errors

PyTree = Any
ALPHAS = tuple(i / 10 for i in range(11))


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

  def between(a, b):
    a, b = jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32)
    return (1 - alpha) * a + alpha * b

  return jax.tree.map(between, start, end)


def _pairs(start, end):
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
  alphas: Sequence[float] = ALPHAS,
) -> dict[float, dict[str, float]]:
  """Evaluates the weights between two encoders.

  Args:
    start: see `interpolate`.
    end: see `interpolate`.
    evaluate: Flax variables -> accuracy by data set, with and without shift.
      Classifiers whose weights are trained belong to the variables.
    alphas: values of α.

  Returns:
    The accuracies by α, as `protocols.format_table` takes them.
  """
  return {a: dict(evaluate(interpolate(start, end, a))) for a in alphas}
