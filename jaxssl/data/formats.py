"""Which files are pictures, and which formats want a library of their own.

A picture of a format whose library is not installed is left out, counted and
named, in every source: by its ending, or where contents are read by these. So
is, by its ending, a picture of a format that nothing here reads.
"""

from collections.abc import Iterable
import functools
import importlib
import importlib.util
import os

# Read by Pillow alone; endings of the formats below it are known as well.
_ALWAYS = (
  '.jpg',
  '.jpeg',
  '.jpe',
  '.jfif',
  '.png',
  '.webp',
  '.gif',
  '.bmp',
  '.dib',
  '.pbm',
  '.pgm',
  '.ppm',
  '.pnm',
  '.tif',
  '.tiff',
)
# Name in Pillow -> endings.
_OPTIONAL = {
  'AVIF': ('.avif',),
  'HEIF': ('.heic', '.heif', '.hif'),
  'JXL': ('.jxl',),
}
# What people call it.
_TITLES = {'AVIF': 'AVIF', 'HEIF': 'HEIC', 'JXL': 'JPEG XL'}
EXTENSIONS = (*_ALWAYS, *(e for own in _OPTIONAL.values() for e in own))
# Of pictures all the same. Few decoders are few that broken files can harm.
UNREAD = (
  *('.jp2', '.j2k', '.jpf', '.jpx'),
  *('.svg', '.svgz', '.eps', '.psd', '.xcf', '.ico', '.icns', '.tga', '.pcx'),
  *('.dds', '.exr', '.hdr', '.pfm', '.sgi', '.qoi', '.dcm', '.fits'),
  *('.dng', '.cr2', '.cr3', '.nef', '.arw', '.orf', '.rw2', '.raf', '.raw'),
)

# ISO/IEC 14496-12: a box `ftyp` with the brand of the file.
_BRANDS = {
  b'avif': 'AVIF',
  b'avis': 'AVIF',
  b'heic': 'HEIF',
  b'heix': 'HEIF',
  b'hevc': 'HEIF',
  b'mif1': 'HEIF',
  b'msf1': 'HEIF',
}
# TIFF 6.0 and BigTIFF, of either order of bytes.
TIFF = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
# ISO/IEC 18181-2: the bare codestream, and the one in a container.
_JXL = (b'\xff\x0a', b'\0\0\0\x0cJXL \r\n\x87\n')


@functools.cache
def missing() -> tuple[str, ...]:
  """Returns the formats that nothing here reads; registers the others."""
  return tuple(name for name in _OPTIONAL if not _plug_in(name))


def _plug_in(name: str) -> bool:
  """Has Pillow read a format; returns whether it can."""
  if name == 'AVIF':
    module = 'PIL.AvifImagePlugin'  # of Pillow 11.3 and newer
    return _is_there(module) and importlib.import_module(module).SUPPORTED
  module = {'HEIF': 'pillow_heif', 'JXL': 'pillow_jxl'}[name]
  if not _is_there(module):
    return False
  plugin = importlib.import_module(module)
  if name == 'HEIF':
    plugin.register_heif_opener()  # the other one registers itself
  return True


def _is_there(module: str) -> bool:
  try:
    return importlib.util.find_spec(module) is not None
  except ModuleNotFoundError:  # of its package
    return False


def fault_of_name(path: str) -> str | None:
  """Returns why a file is not read, by its ending; None if it is."""
  ending = os.path.splitext(path)[1].lower()
  if ending in UNREAD:
    return f'{ending}, a format that is not read: convert them, to PNG maybe'
  return _fault(next((n for n, own in _OPTIONAL.items() if ending in own), ''))


def fault_of_content(content: bytes) -> str | None:
  """Returns why a picture is not read, by its first bytes; None if it is."""
  if content.startswith(_JXL):
    return _fault('JXL')
  is_boxed = content[4:8] == b'ftyp'
  return _fault(_BRANDS.get(content[8:12], '') if is_boxed else '')


def advice(content: bytes) -> str | None:
  """Returns what Pillow does not read, and what would; None if unknown."""
  if not content.startswith(TIFF):
    return fault_of_content(content)
  how = 'config.input.channels'
  if not _is_there('tifffile'):
    how = 'pip install "jaxssl[formats]"'
  return f'a TIFF of other channels or depth than 8-bit RGB; {how} reads it'


def _fault(name: str) -> str | None:
  if name not in missing():
    return None
  return f'{_TITLES[name]}, which pip install "jaxssl[formats]" reads'


def sort_out(paths: Iterable[str]) -> tuple[list[str], dict[str, list[str]]]:
  """Returns the files that are read, and why -> those that are not."""
  read: list[str] = []
  left: dict[str, list[str]] = {}
  for path in paths:
    fault = fault_of_name(path)
    (read if fault is None else left.setdefault(fault, [])).append(path)
  return read, left
