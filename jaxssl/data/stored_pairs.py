"""Opens pictures with masks or depth: folders, tar files, TFDS data sets."""

from collections.abc import Mapping, Sequence
import os
from typing import Any

import numpy as np

from jaxssl.data import places
from jaxssl.data import tar as tar_lib
from jaxssl.data.folder import Folder
from jaxssl.data.formats import EXTENSIONS
from jaxssl.data.pairs import Found, Pairs
from jaxssl.data.places import Place, read_file
from jaxssl.data.source import Source
from jaxssl.data.targets import Code, Kind, Zero
from jaxssl.data.text_bytes import decoded
from jaxssl.data.tfds_source import Tfds
from jaxssl.errors import UserError, first_of
from jaxssl.paths import is_remote

CLASSES = 'classes.txt'
_FOLDERS: dict[Kind, str] = {'mask': 'masks', 'depth': 'depth'}
_FILES: dict[Kind, tuple[str, ...]] = {
  'mask': ('.png', '.tif', '.tiff', '.bmp', '.gif', '.npy'),
  'depth': ('.png', '.tif', '.tiff', '.npy'),
}
# Names of a record's picture; `KEY.png` beside it is a mask only if said so.
_PICTURES = tuple(ending.removeprefix('.') for ending in EXTENSIONS)


def pairs(
  path: str | Sequence[str],
  *,
  images: str | Sequence[str] | None = None,
  masks: str | Sequence[str] | None = None,
  depth: str | Sequence[str] | None = None,
  classes: str | None = None,
  ignore: int = 255,
  zero: Zero = 'class',
  depth_scale: float = 0.001,
  split: str = 'train',
  test_fraction: float = 0.0,
  data_dir: str | None = None,
) -> Pairs:
  """Opens pictures with masks or depth.

  Args:
    path: a folder; one or several tar files, as of the source `tar`; or the
      name of a TFDS data set.
    images: where pictures are. In a folder: a folder, `images`; in tar files:
      the ending of their names, the known ones; in TFDS: a feature, the first
      picture.
    masks: where masks are: a folder, `masks`; an ending, `mask.png`; a feature,
      which must be named. Files have the name of their picture but for the
      ending.
    depth: the same for depth: `depth`; `depth.png` and `depth.npy`; a feature.
    classes: file with the name of a class a line, from 0; None: `classes.txt`
      in the folder, if there is one.
    ignore: number in masks that means no class.
    zero: `'class'`: 0 is the first class; `'ignore'`: 0 is no class, and the
      others count from 1.
    depth_scale: length of the number 1 of a depth picture.
    split: `'train'`, `'test'` or `'all'`; of TFDS, one of its splits.
    test_fraction: share that is held out for test, as of the source `folder`.
    data_dir: where TFDS data sets are prepared; given for these only.

  Returns:
    The source.

  Raises:
    UserError: if something is not there, or no picture has a target.
  """
  code = Code(ignore=ignore, zero=zero, depth_scale=depth_scale)
  wanted: dict[Kind, tuple[str, ...]] = {
    'mask': _several(masks),
    'depth': _several(depth),
  }
  held: dict[str, Any] = {'split': split, 'test_fraction': test_fraction}
  (first, *_) = _several(path) or ('',)
  if data_dir is not None:
    pictures, found = _of_tfds(first, _several(images), wanted, split, data_dir)
  elif first.lower().endswith('.tar'):
    pictures, found = _of_tar(path, _several(images), wanted, held)
  else:
    pictures, found = _of_folder(first, _several(images), wanted, held)
    if classes is None and _read(first, CLASSES) is not None:
      classes = os.path.join(first, CLASSES)
  if not found:
    raise UserError(
      f'{first} has neither masks nor depth; say where they are by masks=... '
      'or depth=...'
    )
  names = () if classes is None else _names(classes)
  return Pairs(pictures, found, code=code, classes=names)


def is_folder(path: str) -> bool:
  """Tells whether a folder is laid out as pictures and their targets."""
  if is_remote(path):
    return False
  there = places.place(path)
  return (there / 'images').is_dir() and any(
    (there / name).is_dir() for name in _FOLDERS.values()
  )


def _several(value: str | Sequence[str] | None) -> tuple[str, ...]:
  if value is None:
    return ()
  return (value,) if isinstance(value, str) else tuple(map(str, value))


_Wanted = Mapping[Kind, tuple[str, ...]]
_Both = tuple[Source, dict[Kind, Found]]


def _of_folder(
  path: str, images: tuple[str, ...], wanted: _Wanted, held: dict[str, Any]
) -> _Both:
  root = places.place(path)
  (folder,) = images or ('images',)
  if not (root / folder).is_dir():
    raise UserError(
      f'{path} has no folder {folder!r} of pictures; say which it is by '
      'images=...'
    )
  pictures = Folder(str(root / folder), **held)
  prefix = len(str(root / folder)) + 1
  stems = [
    os.path.splitext(pictures.describe(i)[prefix:])[0]
    for i in range(pictures.num_examples)
  ]
  found = {}
  for kind, usual in _FOLDERS.items():
    (name,) = wanted[kind] or (usual,)
    if (root / name).is_dir():
      found[kind] = _files(root / name, kind, stems, held['split'] == 'all')
    elif wanted[kind]:
      raise UserError(f'{path} has no folder {name!r}')
  return pictures, found


def _files(
  root: Place, kind: Kind, stems: Sequence[str], is_whole: bool
) -> Found:
  """Returns the files of a folder that have the names of pictures."""
  by_stem: dict[str, str] = {}
  for name in sorted(root.files(_FILES[kind])):
    stem = os.path.splitext(name)[0]
    if stem in by_stem:
      raise UserError(
        f'{root}: {by_stem[stem]} and {name} are two of one picture; leave one'
      )
    by_stem[stem] = name
  names = [by_stem.get(stem) for stem in stems]
  there = [name for name in names if name is not None]
  _, states = root.states(there)

  def read(rows: np.ndarray) -> list[bytes]:
    chosen = [names[row] or '' for row in rows.tolist()]
    records = root.records(list(map(os.fsencode, chosen))).tolist()
    return records if root.content == 'bytes' else [*map(read_file, records)]

  # Those of the other split have their picture there.
  lonely = sorted(set(by_stem.values()) - set(there)) if is_whole else []
  return Found(names=names, read=read, lonely=lonely, states=states)


def _of_tar(
  path: str | Sequence[str],
  images: tuple[str, ...],
  wanted: _Wanted,
  held: dict[str, Any],
) -> _Both:
  pictures = tar_lib.tar(
    path,
    image=images or _PICTURES,
    captions=(),
    **held,
  )
  usual: dict[Kind, tuple[str, ...]] = {
    kind: tuple(f'{kind}{ending}' for ending in endings)
    for kind, endings in _FILES.items()
  }
  found = {}
  for kind, endings in usual.items():
    members = tar_lib.members(path, wanted[kind] or endings)
    if members is None and wanted[kind]:
      raise UserError(
        f'{pictures.name}: no member ends in {first_of(wanted[kind], 3)}'
      )
    if members is not None:
      found[kind] = _by_name(pictures, members, held['split'] == 'all')
  return pictures, found


def _by_name(pictures: Source, targets: Source, is_whole: bool) -> Found:
  """Returns targets whose records have the names of those of the pictures."""
  row_of = {targets.describe(j): j for j in range(targets.num_examples)}
  names = list(map(pictures.describe, range(pictures.num_examples)))
  rows = np.array([row_of.get(name, -1) for name in names], np.int64)
  lonely = sorted(row_of.keys() - set(names)) if is_whole else []
  return Found(
    names=[
      name if row >= 0 else None for name, row in zip(names, rows, strict=True)
    ],
    read=lambda chosen: targets.fetch(rows[chosen]).content.tolist(),
    lonely=lonely,
    states=targets.fingerprint.encode(),
  )


def _of_tfds(
  name: str,
  images: tuple[str, ...],
  wanted: _Wanted,
  split: str,
  data_dir: str,
) -> _Both:
  def feature(key: str | None) -> Tfds:
    return Tfds(name, data_dir=data_dir, split=split, image=key)

  pictures = feature(images[0] if images else None)
  found = {}
  for kind, keys in wanted.items():
    if keys:
      targets = feature(keys[0])
      found[kind] = Found(
        names=list(map(targets.describe, range(targets.num_examples))),
        read=lambda rows, of=targets: of.fetch(rows).content.tolist(),
        states=targets.fingerprint.encode(),
      )
  return pictures, found


def _read(folder: str, name: str) -> bytes | None:
  """Returns a file of a folder; None where there is none."""
  root = places.place(folder)
  return root.read([name])[0] if root.existing([name]) else None


def _names(path: str) -> tuple[str, ...]:
  folder, name = os.path.split(path)
  content = _read(folder or os.curdir, name)
  if content is None:
    raise UserError(f'no file {path} with the names of the classes')
  names = [line.strip() for line in decoded(content).splitlines()]
  while names and not names[-1]:
    names.pop()
  twice = sorted({n for n in names if names.count(n) > 1})
  if twice or not all(names):
    raise UserError(
      f'{path}: a line names one class each; '
      + (f'{twice[0]!r} is there twice' if twice else 'one is empty')
    )
  return tuple(names)
