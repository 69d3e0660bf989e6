"""What was written for PyTorch's libraries, loaded by them and compared."""

import importlib
import logging
import pathlib
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxssl.models import ViT
from jaxssl.weights import huggingface_towers, program
from jaxssl.weights.exported import ExportedEncoder

_log = logging.getLogger(__name__)


# What must be imported before a library can make a model.
_NEEDED = {
  'timm': ('torch', 'timm'),
  'transformers': ('torch', 'transformers.modeling_utils'),
}


def is_possible(library: str) -> bool:
  """Returns whether a library can be used here; says why if not.

  Args:
    library: 'timm' or 'transformers'.
  """
  try:
    for name in _NEEDED[library]:
      importlib.import_module(name)
  # Not installed, or beside a version of another library with which it breaks,
  # and then in any way.
  except Exception as error:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    _log.info(
      'not loaded again and compared: %s cannot be imported here (%s)',
      library,
      reason,
    )
    return False
  return True


def by_timm(folder: pathlib.Path, exported: ExportedEncoder) -> None:
  """Compares features of timm's model with those of the encoder, on noise.

  Args:
    folder: from `timm_model.save`, of an architecture that timm has.
    exported: the encoder.

  Raises:
    UserError: if they differ by more than 1e-4 of the largest.
  """
  if not is_possible('timm'):
    return
  import timm
  import torch

  model: Any = timm.create_model(f'local-dir:{folder}', pretrained=True).eval()

  @torch.no_grad()
  def found(pixels: np.ndarray) -> dict[str, np.ndarray]:
    return {'features': model(_seen(exported, pixels)).numpy()}

  say('timm', program.require_equal(exported, found, ('features',)))


def by_transformers(folder: pathlib.Path, exported: ExportedEncoder) -> None:
  """Compares tokens, or features, of transformers' model with the encoder's.

  Its models of vision transformers pool otherwise than ours, so it is the patch
  tokens that are compared; of image towers and other encoders, the features.

  Args:
    folder: from `huggingface_folder.save`.
    exported: the encoder.

  Raises:
    UserError: if they differ by more than 1e-4 of the largest.
  """
  if not is_possible('transformers'):
    return
  import torch
  import transformers

  model: Any = transformers.AutoModel.from_pretrained(folder).eval()
  encoder = exported.encoder
  is_vit = isinstance(encoder, ViT) and not huggingface_towers.is_tower(encoder)

  @torch.no_grad()
  def found(pixels: np.ndarray) -> dict[str, np.ndarray]:
    out = model(pixel_values=_seen(exported, pixels))
    if not is_vit:
      return {'features': out.pooler_output.flatten(1).numpy()}
    rows, columns = encoder.grid_of(jnp.asarray(pixels))
    return {'patches': out.last_hidden_state[:, -rows * columns :].numpy()}

  name = 'patches' if is_vit else 'features'
  say('transformers', program.require_equal(exported, found, (name,)))


def to_torch(images: Any) -> Any:
  """Returns images [b, H, W, C] as a tensor of PyTorch [b, C, H, W].

  Args:
    images: an array of JAX or NumPy.
  """
  import torch

  return torch.from_numpy(np.array(images).transpose(0, 3, 1, 2).copy())


def _seen(exported: ExportedEncoder, pixels: np.ndarray) -> Any:
  """Returns pixels as the other library's model takes them."""
  return to_torch(exported.normalize(jnp.asarray(pixels)))


def say(library: str, error: float) -> None:
  """Logs by how much features differ.

  Args:
    library: who loaded them.
    error: the largest difference over the largest value.
  """
  _log.info('loaded again by %s: features differ by %.1g', library, error)
