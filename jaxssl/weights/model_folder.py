"""The folder of a model as it is downloaded: where in it the weights lie.

transformers' and timm's folders hold `model.safetensors`, open_clip's
`open_clip_model.safetensors`; `descriptions` reads the files beside them.
"""

import importlib
import os
import pathlib
import re
from typing import NamedTuple

from jaxssl import nearest
from jaxssl.data.misspelt import folders_like
from jaxssl.errors import UserError, first_of
from jaxssl.weights.exported import INFO, WEIGHTS

_HUB_ID = re.compile(r'[\w.-]+/[\w.-]+')
_PICKLES = ('.bin', '.pth', '.pt', '.ckpt', '.tar')


class _Layout(NamedTuple):
  """Names of the files in a folder: the weights, and what describes them."""

  weights: tuple[str, ...]
  descriptions: tuple[str, ...]


LAYOUTS = {
  'huggingface': _Layout(
    ('model.safetensors',),
    ('config.json', 'preprocessor_config.json', 'processor_config.json'),
  ),
  'open_clip': _Layout(
    ('open_clip_model.safetensors',), ('open_clip_config.json',)
  ),
  'timm': _Layout(('model.safetensors',), ('config.json',)),
}
# Of `weights.exported`, which `jaxssl push` brings to the hub.
_OURS = _Layout((WEIGHTS,), (INFO,))
# Of a folder of which it is not said whose it is.
_ANY = _Layout(
  tuple(dict.fromkeys(name for x in LAYOUTS.values() for name in x.weights)),
  tuple(
    dict.fromkeys(name for x in LAYOUTS.values() for name in x.descriptions)
  ),
)


def find(given: str, library: str | None) -> pathlib.Path:
  """Returns the file of weights that `given` stands for.

  Args:
    given: a file; a folder with one; or the id of a model at the Hugging Face
      hub, `owner/name`, which is downloaded unless it is there already
      (`huggingface_hub`, of the extra `hub`).
    library: one of `LAYOUTS`, of which the folder is; None: of any of them;
      others' files have no fixed name.

  Raises:
    UserError: if there is none; says what to do.
  """
  path = pathlib.Path(given).expanduser()
  if path.is_file():
    return path
  layout = _ANY if library is None else LAYOUTS.get(library)
  if layout and is_id(given):
    path = _from_hub(given, layout)
  if not path.is_dir():
    raise UserError(f'weights file {given!r} does not exist')
  if not layout:
    raise UserError(f'{given!r} is a folder; give the .safetensors file in it')
  files = [path / name for name in layout.weights]
  found = [file for file in files if file.is_file()]
  if not found:
    raise _nothing(path, layout)
  return found[0]


def has_weights(given: str | os.PathLike[str]) -> bool:
  """Returns whether `given` is a file, or a folder with another's weights."""
  path = pathlib.Path(given).expanduser()
  return path.is_file() or any((path / name).is_file() for name in _ANY.weights)


def is_id(given: str | os.PathLike[str]) -> bool:
  """Returns whether `given` names a model at the hub, and nothing here."""
  name = os.fspath(given)
  is_path = pathlib.Path(name).expanduser().exists()
  return not is_path and _HUB_ID.fullmatch(name) is not None


def download(name: str) -> pathlib.Path:
  """Returns the folder of a model at the hub, of any layout and of ours.

  Args:
    name: `owner/name`.

  Raises:
    UserError: if it could not be had.
  """
  layout = _Layout(
    (*_OURS.weights, *_ANY.weights), (*_OURS.descriptions, *_ANY.descriptions)
  )
  return _from_hub(name, layout)


def refuse_pickle(path: pathlib.Path) -> None:
  """Refuses PyTorch's own files (a zip of pickles, or a bare one).

  They can hold code, which runs when they are read.

  Raises:
    UserError: if the file is one, or cannot be read; says what to do.
  """
  try:
    with path.open('rb') as file:
      start = file.read(9)
  except OSError as error:
    raise UserError(f'cannot read {str(path)!r}: {error.strerror}') from error
  # Safetensors begin with a length of 8 bytes, the first of which can be a
  # pickle's too, and then JSON.
  if start[8:] == b'{':
    return
  if start.startswith((b'PK\x03\x04', b'\x80')):
    raise _pickle(path)


def _nothing(folder: pathlib.Path, layout: _Layout) -> UserError:
  """Returns the error for a folder without weights of the usual name."""
  names = sorted(path.name for path in folder.iterdir() if path.is_file())
  missing = f'{str(folder)!r} holds no {" or ".join(layout.weights)}'
  ours = [name for name in names if name.endswith('.safetensors')]
  if ours:
    return UserError(
      f'{missing}, but {first_of(ours, 3)}; give the file instead of the folder'
    )
  pickles = [name for name in names if name.endswith(_PICKLES)]
  if pickles:
    return _pickle(folder / pickles[0])
  return UserError(missing)


def _pickle(path: pathlib.Path) -> UserError:
  new = path.with_name('model.safetensors')
  return UserError(
    f'{str(path)!r} is a pickle, which can run code and is not read; PyTorch '
    'rewrites it without running that: python -c "import torch, '
    f'safetensors.torch as s; w = torch.load({str(path)!r}, '
    "map_location='cpu', weights_only=True); s.save_file({k: v.clone() for k, "
    f"v in w.get('state_dict', w).items()}}, {str(new)!r})\""
  )


def _from_hub(name: str, layout: _Layout) -> pathlib.Path:
  here = f'{name!r} is no file or folder here'
  if hint := nearest.question(folders_like(name)):
    here += f' ({hint})'
  try:
    hub = importlib.import_module('huggingface_hub')
  except ModuleNotFoundError as error:
    raise UserError(
      f'{here}; to look for it at the Hugging Face hub, pip install '
      '"jaxssl[hub]"'
    ) from error
  wanted = [*layout.weights, *layout.descriptions]
  try:
    return pathlib.Path(hub.snapshot_download(name, allow_patterns=wanted))
  except (OSError, ValueError) as error:
    # Its messages are paragraphs; the first sentence says what went wrong.
    reason = re.split(r'\n|\. ', str(error))[0] or type(error).__name__
    raise UserError(
      f'{here} and could not be had from the hub ({reason}); download '
      f'{", ".join(wanted)} of it where there is a network, and give their '
      'folder'
    ) from error
