"""Tensors as the release of DALL-E's discrete VAE has them."""

from typing import Any

from flax import traverse_util
import numpy as np

from jaxssl.weights.dalle import dalle_name


def to_dalle(variables: Any) -> dict[str, np.ndarray]:
  """Returns variables under the authors' names, the inverse of `from_dalle`.

  Args:
    variables: of a `DVAEEncoder` or `DVAEDecoder`, {'params': ...}.
  """
  tensors = {}
  for path, value in traverse_util.flatten_dict(variables).items():
    array = np.asarray(value, np.float32)
    array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array
    tensors[dalle_name(path)] = np.ascontiguousarray(array)
  return tensors
