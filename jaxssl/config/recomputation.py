"""Whether a run computes activations twice, to keep fewer of them."""

from collections.abc import Mapping
from typing import Any

from jaxssl.config import Config


def recomputes(config: Mapping[str, Any]) -> bool:
  """Returns whether a section has `remat` on.

  Args:
    config: complete, or as a file has it.
  """
  return any(
    isinstance(section, Mapping) and bool(section.get('remat'))
    for section in config.values()
  )


def without_recomputation(config: Config) -> Config:
  """Returns the config with `remat` off wherever it is on.

  Args:
    config: see `recomputes`.
  """
  return {
    name: {**section, 'remat': False}
    if isinstance(section, Mapping) and section.get('remat')
    else section
    for name, section in config.items()
  }
