"""An encoder on disk: weights as safetensors, the rest as JSON.

`encoder.safetensors` holds the Flax variables by dotted name, in Flax layout
(`params.layer1_0.conv1.kernel`); `encoder.json` holds what is needed to build
the encoder and to prepare its images, and the checksums of the weights. What
else a method exports lies beside them, `NAME.safetensors` each
(`decoder.safetensors` of a discrete VAE).
"""

from collections.abc import Generator, Mapping
import contextlib
import dataclasses
import json
import logging
import math
import os
from typing import Any

from flax import linen as nn
from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import atomic_file, checksums, finite, models
from jaxssl.augment.bands import RGB
from jaxssl.augment.preprocessing import Channels, Preprocessing, usual
from jaxssl.augment.view import Augment
from jaxssl.config import to_plain
from jaxssl.errors import UserError, first_of
from jaxssl.paths import Path, local_copy, make_path
from jaxssl.weights import safetensors_file

PyTree = Any
WEIGHTS, INFO = 'encoder.safetensors', 'encoder.json'
# Tables of positions, which are their second axis.
_POSITIONS = ('pos_embed', 'relative_position_bias_table')
# The types of what stands in the description, beside the preprocessing.
_KINDS = {
  'section': dict,
  'step': int,
  'config_hash': str,
  'towers': tuple,
  'checksums': dict,
}
_LATER = ('towers', 'checksums')  # earlier versions lack them
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportedEncoder:
  """An encoder with its weights and what it expects of its images.

  Attributes:
    section: section `encoder` of a config, for `models.make_encoder`.
    variables: Flax variables.
    preprocessing: how pictures are made into its input.
    step: optimizer steps behind the weights.
    config_hash: hash of the config of the run they come from.
    towers: Flax variables of what else the method exports, by name.
  """

  section: Mapping[str, Any]
  variables: PyTree
  preprocessing: Preprocessing
  step: int
  config_hash: str
  towers: Mapping[str, PyTree] = dataclasses.field(default_factory=dict)

  @property
  def encoder(self) -> nn.Module:
    """The module."""
    return models.make_encoder(**self.section)

  @property
  def image_size(self) -> int:
    """Side of its images in pixels."""
    return self.preprocessing.image_size

  @property
  def num_channels(self) -> int:
    """Channels of its images."""
    return self.preprocessing.num_channels

  @property
  def mean(self) -> Channels:
    """Mean of each channel of images in [0, 1]."""
    return self.preprocessing.mean

  @property
  def std(self) -> Channels:
    """Deviation of each channel."""
    return self.preprocessing.std

  def normalize(self, images: jax.Array) -> jax.Array:
    """Returns images [..., C] as the encoder takes them, float32."""
    return Augment(
      views=(),
      mean=self.mean,
      std=self.std,
      bands=self.preprocessing.bands,
    ).normalize(images)


def save_encoder(
  directory: str | os.PathLike[str], exported: ExportedEncoder
) -> Path:
  """Writes an encoder; returns the directory.

  The JSON names the step and is written last, so a half-written export is
  never taken for a whole one.

  Raises:
    UserError: if a weight is not finite, or the files cannot be written.
  """
  check_finite(exported)
  directory = make_path(directory)
  info = {
    field.name: getattr(exported, field.name)
    for field in dataclasses.fields(exported)
    if field.name not in ('variables', 'towers', 'preprocessing')
  }
  info |= dataclasses.asdict(exported.preprocessing)
  info['towers'] = sorted(exported.towers)
  tensors = {
    name: _flat(variables)
    for name, variables in (
      ('encoder', exported.variables),
      *exported.towers.items(),
    )
  }
  info['checksums'] = {
    name: checksums.of_tensors(found) for name, found in tensors.items()
  }
  text = json.dumps(info, indent=2) + '\n'
  try:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / INFO).unlink(missing_ok=True)
    for name, found in tensors.items():
      safetensors_file.write(directory / _file_of(name), found)
    atomic_file.write_text(directory / INFO, text)
  except OSError as error:
    raise UserError(
      f'cannot write the encoder to {str(directory)!r}: '
      f'{error.strerror or error}'
    ) from error
  return directory


def export_of(directory: str | os.PathLike[str]) -> Path:
  """Returns the folder of the encoder: `export/` of a workdir, or itself."""
  path = make_path(directory)
  return path / 'export' if (path / 'export' / INFO).exists() else path


def load_encoder(directory: str | os.PathLike[str]) -> ExportedEncoder:
  """Reads what `save_encoder` wrote.

  Raises:
    UserError: if it is not there, damaged, or does not fit its own encoder.
  """
  directory = make_path(directory)
  info = _read_info(directory / INFO)
  sums = info.pop('checksums', None)
  if sums is None:
    _log.warning(
      '%s is of an earlier version, without checksums: whether the weights are '
      'whole cannot be proved',
      directory / INFO,
    )
  names = ('encoder', *info.pop('towers', ()))
  tensors = {
    name: _read_tensors(directory / _file_of(name), name, sums)
    for name in names
  }
  variables, *towers = (
    traverse_util.unflatten_dict(t, sep='.') for t in tensors.values()
  )
  with _told_as_damage(directory / INFO):
    exported = ExportedEncoder(
      variables=variables,
      towers=dict(zip(names[1:], towers, strict=True)),
      preprocessing=_take_preprocessing(info, directory),
      **info,
    )
    wanted = abstract_variables(
      exported.encoder, exported.image_size, exported.num_channels
    )
  _check_fits(exported, wanted, directory)
  return exported


def _read_info(path: Path) -> dict[str, Any]:
  try:
    text = path.read_text(encoding='utf-8')
  # The latter where the folder is a file.
  except (FileNotFoundError, NotADirectoryError) as error:
    raise UserError(
      f'no encoder in {str(path.parent)!r} (no {path.name})'
    ) from error
  except ValueError as error:
    raise UserError(f'{path} is damaged: it is no UTF-8') from error
  with _told_as_damage(path):
    info = to_plain(json.loads(text))
    if not isinstance(info, dict):
      raise TypeError('it is no JSON object')
    for name, kind in _KINDS.items():
      value = info.get(name)
      if not (value is None and name in _LATER) and type(value) is not kind:
        raise TypeError(f'{name} is {value!r}')
    if not all(isinstance(name, str) for name in info.get('towers', ())):
      raise TypeError(f'towers is {info["towers"]!r}')
  return info


@contextlib.contextmanager
def _told_as_damage(path: Path) -> Generator[None]:
  """What a file describes can fail anywhere, in any way, when it is built."""
  try:
    yield
  except Exception as error:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    raise UserError(f'{path} is damaged: {reason[:200]}') from error


def abstract_variables(
  encoder: nn.Module, image_size: int, channels: int = RGB
) -> PyTree:
  """Returns the shapes of an encoder's variables for images of this size."""
  shape = (1, image_size, image_size, channels)
  images = jax.ShapeDtypeStruct(shape, jnp.float32)
  return jax.eval_shape(encoder.init, jax.random.key(0), images)


def check_finite(exported: ExportedEncoder) -> None:
  """Raises `UserError` naming the first weights that are not finite."""
  finite.require_weights({'encoder': exported.variables, **exported.towers})


def _check_fits(
  exported: ExportedEncoder, wanted: PyTree, source: str | os.PathLike[str]
) -> None:
  wanted = traverse_util.flatten_dict(wanted, sep='.')
  found = traverse_util.flatten_dict(exported.variables, sep='.')
  wrong = [
    f'{name}: {_shape(found.get(name))} instead of {_shape(wanted.get(name))}'
    for name in sorted(wanted.keys() | found.keys())
    if _shape(wanted.get(name)) != _shape(found.get(name))
    and not _is_other_grid(name, found.get(name), wanted.get(name))
  ]
  if wrong:
    raise UserError(
      f'the weights in {str(source)!r} are not of encoder '
      f'{exported.section["name"]!r}: {first_of(wrong, 3)}'
    )


def _take_preprocessing(info: dict[str, Any], source: Path) -> Preprocessing:
  """Takes the rule, whose fields stand beside the others, out of a description.

  Descriptions of before there were rules have size, mean and deviation, and
  their pictures were prepared by the usual rule.
  """
  names = [field.name for field in dataclasses.fields(Preprocessing)]
  found = {name: info.pop(name) for name in names if name in info}
  if 'resize_size' in found:
    return Preprocessing(**found)
  rule = usual(found['image_size'], mean=found['mean'], std=found['std'])
  # Weights of a run are used to it; imported ones may want another.
  if info.get('step') == 0:
    _log.warning(
      '%s does not say how pictures are resized: to %d, of which the middle '
      '%d are seen; import the weights again to have their own rule',
      source / INFO,
      rule.resize_size,
      rule.image_size,
    )
  return rule


def _is_other_grid(name: str, found: Any, wanted: Any) -> bool:
  """Whether both are tables of positions, of square grids of other sides.

  Encoders interpolate them; so many more entries than a square are of tokens
  outside the grid.
  """
  is_table = name.rpartition('.')[2] in _POSITIONS
  if not is_table or found is None or wanted is None:
    return False
  if len(found.shape) != len(wanted.shape):
    return False
  sizes = [leaf.shape[1] for leaf in (found, wanted)]
  outside = {size - math.isqrt(size) ** 2 for size in sizes}
  others = {(*leaf.shape[:1], *leaf.shape[2:]) for leaf in (found, wanted)}
  return len(outside) == len(others) == 1


def _file_of(tower: str) -> str:
  return f'{tower}.safetensors'


def _flat(variables: PyTree) -> dict[str, np.ndarray]:
  flat = traverse_util.flatten_dict(variables, sep='.')
  return {name: np.asarray(value) for name, value in flat.items()}


def _read_tensors(
  path: Path, name: str, sums: Mapping[str, int] | None
) -> dict[str, np.ndarray]:
  with local_copy(path) as here:
    tensors = safetensors_file.read(here)
  if sums is not None and checksums.of_tensors(tensors) != sums.get(name):
    raise UserError(
      f'{path} is damaged, or not the file that {INFO} was written with: its '
      'checksum is another; export or import the weights again'
    )
  return tensors


def _shape(leaf: Any) -> tuple[int, ...] | str:
  return 'nothing' if leaf is None else tuple(leaf.shape)
