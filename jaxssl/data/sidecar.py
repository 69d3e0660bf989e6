"""Captions in text files beside their pictures."""

from collections.abc import Sequence
import os

from jaxssl.data.captions import as_texts
from jaxssl.data.places import Place
from jaxssl.data.shards import NO_CAPTION, NO_PICTURE
from jaxssl.data.text_bytes import decoded
from jaxssl.errors import UserError


def read(
  root: Place,
  pictures: Sequence[str],
  sidecars: set[str],
  *,
  ending: str,
) -> tuple[dict[str, tuple[str, ...]], dict[str, list[str]]]:
  """Reads one caption a line from the file beside each picture.

  Pictures without a caption and captions without a picture are left out.

  Args:
    root: folder of all.
    pictures: files below it.
    sidecars: files below it with captions.
    ending: ending of those names, with its dot.

  Returns:
    picture -> captions, in the order of `pictures`; what is wrong -> the files
    that are left out.

  Raises:
    UserError: if no picture has a caption.
  """
  beside = {name: os.path.splitext(name)[0] + ending for name in pictures}
  described = [name for name, sidecar in beside.items() if sidecar in sidecars]
  texts = root.read([beside[name] for name in described])
  captions = dict(zip(described, map(_lines, texts), strict=True))
  skipped = {
    NO_CAPTION: [n for n in pictures if not captions.get(n)],
    NO_PICTURE: sorted(sidecars - set(beside.values())),
  }
  captions = {name: lines for name, lines in captions.items() if lines}
  if not captions:
    raise UserError(f'{root}: no picture has a caption in a file *{ending}')
  return captions, skipped


def _lines(content: bytes) -> tuple[str, ...]:
  return tuple(as_texts(decoded(content).splitlines()))
