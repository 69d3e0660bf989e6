"""An export whose weights are not finite, and whose checksums fit."""

import dataclasses
import pathlib

import jax
import numpy as np
import pytest

from jaxssl import finite
from jaxssl.weights import exported as exported_lib


def with_one_nan(export: pathlib.Path) -> None:
  """Writes an export again, with NaN for one number of its encoder."""
  exported = exported_lib.load_encoder(export)
  leaves, structure = jax.tree.flatten(exported.variables)
  leaves = [np.array(leaf) for leaf in leaves]
  leaves[0].flat[0] = np.nan
  changed = dataclasses.replace(
    exported, variables=jax.tree.unflatten(structure, leaves)
  )
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(finite, 'require_weights', lambda towers: None)
    exported_lib.save_encoder(export, changed)
