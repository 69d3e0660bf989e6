"""What to say of a name that is neither a data source nor a folder."""

from collections.abc import Iterable
import os

from jaxssl import nearest
from jaxssl.data import not_read
from jaxssl.errors import UserError

# Made from other sections; nobody who misspells a folder means one of them.
_FORMS = ('folder', 'mixture', 'pairs', 'parquet', 'table', 'tar', 'tfrecord')


def misspelt(name: str, sources: Iterable[str]) -> UserError:
  """Returns the error for data that are not there.

  Args:
    name: what the user gave: a path, or the name of a source.
    sources: the names that would be right.

  Returns:
    An error that offers the closest source and the closest folder beside
    where the folder would lie; of a file that is there, what to do with it.
  """
  if os.path.isfile(os.path.expanduser(name)):
    return UserError(not_read.of_file(name))
  names = [source for source in sources if source not in _FORMS]
  close = folders_like(name)
  if os.sep not in name:
    close = [*nearest.nearest(name, names, most=1, cutoff=0.6), *close]
  hint = nearest.question(close)
  if not hint:
    hint = f'give a folder that is there, {", ".join(sorted(names))}, or a TFDS'
    hint += ' data set'
  if os.sep in name:
    return UserError(
      f'{name} does not exist: neither a folder nor data; {hint}'
    )
  return UserError(
    f'unknown data source {name!r}, and no folder of this name; {hint}'
  )


def folders_like(name: str) -> list[str]:
  """Returns the name of a folder at the same place, if one is alike."""
  parent, last = os.path.split(os.path.expanduser(name).rstrip(os.sep))
  try:
    with os.scandir(parent or os.curdir) as entries:
      folders = [
        entry.name
        for entry in entries
        if entry.is_dir() and not entry.name.startswith('.')
      ]
  except OSError:
    return []
  close = nearest.nearest(last, folders, most=2, cutoff=0.6)
  return [os.path.join(parent, folder) for folder in close]
