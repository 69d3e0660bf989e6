"""What a file of many records holds, without their pictures."""

from collections.abc import Iterable, Sequence
import dataclasses
import json
import pathlib

import numpy as np

from jaxssl import npz_file
from jaxssl.data.byte_strings import ByteStrings
from jaxssl.data.captions import Captions
from jaxssl.data.growing import Growing

# Names of members may hold bytes that are no UTF-8, as surrogate escapes.
_ERRORS = 'surrogatepass'
_LISTS = ('label_texts', 'group_bytes', 'skipped', 'digest')
_TYPES = {
  'places': np.int64,
  'labels': np.int32,
  'names': np.uint8,
  'name_bounds': np.int64,
  'blob': np.uint8,
  'bounds': np.int64,
  'first': np.int64,
  'count': np.int64,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardIndex:
  """What one file holds, or several.

  Attributes:
    names: name of each record, see `packed`.
    places: where each record lies, two numbers, int64 [n, 2].
    captions: captions of each record.
    labels: which of `label_texts` each record has, int32 [n].
    label_texts: the labels that there are, as `labels.as_text` has them.
    group_bytes: most bytes that have to be read for a record, where that is
      more than itself; places are then -1 - g and a row of group g.
    skipped: what is wrong -> names of records that are left out.
    digest: hash of the content, where all of it was read.
  """

  names: ByteStrings
  places: np.ndarray
  captions: Captions
  labels: np.ndarray
  label_texts: Sequence[str]
  group_bytes: int = 0
  skipped: dict[str, Sequence[str]]
  digest: str = ''

  def __len__(self) -> int:
    return len(self.names)

  def name(self, index: int) -> str:
    """Returns the name of a record."""
    return self.names[index].decode(errors=_ERRORS)

  @property
  def arrays(self) -> dict[str, np.ndarray]:
    """All that there is one of for each record, by name."""
    return {
      'places': self.places,
      'labels': self.labels,
      'names': self.names.blob,
      'name_bounds': self.names.bounds,
      **self.captions.arrays,
    }

  def save(self, path: pathlib.Path) -> None:
    """Writes it to a file."""
    lists = json.dumps({name: getattr(self, name) for name in _LISTS})
    lists = np.frombuffer(lists.encode(), np.uint8)
    npz_file.write(path, {'lists': lists, **self.arrays})

  @classmethod
  def load(cls, path: pathlib.Path) -> 'ShardIndex':
    """Reads what `save` wrote."""
    arrays = npz_file.read(path)
    lists = json.loads(arrays.pop('lists').tobytes())
    return cls.of_arrays(arrays, **lists)

  @classmethod
  def of_arrays(
    cls, arrays: dict[str, np.ndarray], **lists: object
  ) -> 'ShardIndex':
    """Makes it of its arrays and all else."""
    names = ByteStrings(arrays.pop('names'), arrays.pop('name_bounds'))
    places, labels = arrays.pop('places'), arrays.pop('labels')
    # Names of keys that are wrong are a TypeError, as for any damaged index.
    return cls(
      names=names,
      places=places.reshape(-1, 2),
      labels=labels,
      captions=Captions(**arrays),
      **lists,  # pyright: ignore[reportArgumentType]
    )


def packed(names: Iterable[str]) -> ByteStrings:
  """Returns names as an index has them."""
  return ByteStrings.of(name.encode(errors=_ERRORS) for name in names)


def coded(texts: Sequence[str]) -> tuple[list[str], np.ndarray]:
  """Returns the different texts, sorted, and which of them each is.

  Args:
    texts: n labels.

  Returns:
    The texts, and int32 [n].
  """
  values = sorted(set(texts))
  place = {text: number for number, text in enumerate(values)}
  return values, np.array([place[text] for text in texts], np.int32)


def joined(
  indices: Iterable[ShardIndex],
) -> tuple[ShardIndex, list[int], list[str]]:
  """Joins the records of several files, in their order.

  Args:
    indices: of each file; none is kept.

  Returns:
    An index of all; the number of records of each file, and its digest.
  """
  grown = {name: Growing(dtype) for name, dtype in _TYPES.items()}
  for bounds in ('name_bounds', 'bounds'):
    grown[bounds].add(np.zeros(1, np.int64))
  label_place: dict[str, int] = {}
  skipped: dict[str, list[str]] = {}
  sizes, digests, group_bytes = [], [], 0
  for index in indices:
    group_bytes = max(group_bytes, index.group_bytes)
    sizes.append(len(index))
    digests.append(index.digest)
    for fault, names in index.skipped.items():
      if names:
        skipped.setdefault(fault, []).extend(names)
    arrays = index.arrays
    arrays['first'] = arrays['first'] + len(grown['bounds']) - 1
    arrays['name_bounds'] = arrays['name_bounds'][1:] + len(grown['names'])
    arrays['bounds'] = arrays['bounds'][1:] + len(grown['blob'])
    places = [
      label_place.setdefault(text, len(label_place))
      for text in index.label_texts
    ]
    arrays['labels'] = np.array(places, np.int32)[arrays['labels']]
    for name, values in arrays.items():
      grown[name].add(values)
  whole = ShardIndex.of_arrays(
    {name: each.array() for name, each in grown.items()},
    label_texts=list(label_place),
    group_bytes=group_bytes,
    skipped=skipped,
  )
  return whole, sizes, digests
