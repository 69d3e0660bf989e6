"""The names that were meant by one that is none."""

from collections.abc import Iterable
import difflib
import re

# What most mean where several names begin alike, the first one first.
_FAVOURITES = (
  'vit_s16',
  'resnet50',
  'vit_b16',
  'clip_vit_b16',
  'siglip_vit_b16',
  'dinov2_vit_s14',
  'simclr',
  'knn',
  'linear',
  'train.steps',
  'train.epochs',
  'train.batch_size',
  'optim.learning_rate.start',
  'augment.size',
  'data.path',
  'encoder.name',
)
# Other words for a part of a name: of timm, torchvision and the trade.
_WORDS = (
  (r'\blr\b', 'learning_rate'),
  (r'\bwd\b', 'weight_decay'),
  (r'\bbs\b', 'batch_size'),
  (r'(?<=vit_)tiny', 'ti'),
  (r'(?<=vit_)small', 's'),
  (r'(?<=vit_)base', 'b'),
  (r'(?<=vit_)large', 'l'),
  (r'(?<=vit_)huge', 'h'),
  (r'_patch(?=\d)', ''),
  (r'_prob(e|ing)$', ''),
)
_VERSION = 3  # letters that may follow a name: `simclr2`, `resnet50d`, `_224`
_CUTOFF = 0.5  # of difflib's ratio


def nearest(
  name: str,
  options: Iterable[str],
  *,
  most: int = 3,
  cutoff: float = _CUTOFF,
) -> list[str]:
  """Returns the options that come closest to a name, the closest first.

  First come those with the same letters and digits, then those that begin
  alike (`vit_s` of `vit_s16`, `simclr2` of `simclr`) or have the name as a part
  (`batch_size` of `train.batch_size`), then those that difflib calls similar.

  Args:
    name: what was given.
    options: the names that would be right.
    most: how many at most.
    cutoff: how much those of the last kind have in common, from 0 to 1; the
      default is a half.
  """
  plain = _plain(name)
  found: list[tuple[int, int, float, str]] = []
  for option in options:
    other = _plain(option)
    alike = difflib.SequenceMatcher(None, plain, other).ratio()
    last = difflib.SequenceMatcher(None, plain, _last(other)).ratio()
    alike = max(alike, last if '.' in other and '.' not in plain else 0)
    kind = _kind(plain, other)
    if kind < _SIMILAR or alike >= cutoff:
      found.append((kind, _rank(option, kind), -alike, option))
  # Of equals the first in the order of the options: sorting is stable.
  found.sort(key=lambda each: each[:3])
  return [option for *_, option in found[:most]]


_SAME, _BEGINS, _SIMILAR = range(3)


def hint(name: str, options: Iterable[str], *, most: int = 3) -> str:
  """Returns `did you mean 'x' or 'y'?`, or nothing if no option is close."""
  return question(nearest(name, options, most=most))


def question(close: Iterable[str]) -> str:
  """Returns `did you mean 'x' or 'y'?`, or nothing if there are none.

  Args:
    close: the names that may have been meant.
  """
  names = ' or '.join(map(repr, close))
  return f'did you mean {names}?' if names else ''


def _kind(name: str, option: str) -> int:
  bare, other = (re.sub(r'[^a-z0-9]', '', text) for text in (name, option))
  if not bare or not other:
    return _SIMILAR
  if bare == other:
    return _SAME
  longer = len(bare) - len(other)
  if other.startswith(bare) or (longer <= _VERSION and bare.startswith(other)):
    return _BEGINS
  is_part = '.' not in name and name in option.split('.')
  return _BEGINS if is_part or option.endswith(f'.{name}') else _SIMILAR


def _rank(option: str, kind: int) -> int:
  """Returns the place among favourites, which count where names begin alike."""
  if kind != _BEGINS or option not in _FAVOURITES:
    return len(_FAVOURITES)
  return _FAVOURITES.index(option)


def _plain(name: str) -> str:
  name = re.sub(r'[-/ ]', '_', name.lower())
  for word, ours in _WORDS:
    name = re.sub(word, ours, name)
  return name


def _last(option: str) -> str:
  return option.rpartition('.')[2]
