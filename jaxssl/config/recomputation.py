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
  """Returns the config with `remat` off wherever it is on, and one batch.

  Contrastive methods run the networks of a batch in parts once more.

  Args:
    config: see `recomputes`.
  """
  off = {'remat': False, 'micro_batches': 1}
  return {
    name: {**section, **{key: off[key] for key in off if section.get(key)}}
    if isinstance(section, Mapping)
    else section
    for name, section in config.items()
  }
