"""The contract of an evaluation.

An evaluation is a frozen dataclass in a file of its own: its fields are all the
numbers, its name carries a version that changes whenever a default or the
procedure does. `docs/evaluation.md` says how to add one.
"""

import dataclasses
from typing import Any, ClassVar, Protocol, runtime_checkable

from jaxssl.data.source import Source
from jaxssl.evals.table import Metrics, Table


@runtime_checkable
class Evaluation(Protocol):
  """A named, versioned protocol.

  Attributes:
    needs: one of the tuples in `jaxssl.evals.needs`; its fields are the
      arguments of `run`.
  """

  needs: ClassVar[type[Any]]
  # It is a dataclass: `dataclasses.replace` and `fields` take it.
  __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

  @property
  def name(self) -> str:
    """Name and version, with which results are filed."""
    ...

  def check(self, *sources: Source) -> None:
    """Refuses data that do not suit, before any work is done.

    Args:
      *sources: training and test split, or the one split that is looked at.

    Raises:
      jaxssl.errors.UserError: says what is missing.
    """
    ...

  def run(self, *args: Any, **inputs: Any) -> dict[str, float]:
    """Measures.

    Args:
      *args: the fields of `needs`, in their order, or
      **inputs: by name.

    Returns:
      Metrics by name; accuracies are fractions in [0, 1], `top1` is the
      headline of a classification, `num_...` are counts.

    Raises:
      jaxssl.errors.UserError: if settings and data do not go together.
    """
    ...

  def table(self, metrics: Metrics, *, encoder: str, data: str) -> Table:
    """Returns what is printed of a result.

    Args:
      metrics: what `run` returned.
      encoder: what was evaluated, for example `'trained encoder'`.
      data: name of the data.
    """
    ...
