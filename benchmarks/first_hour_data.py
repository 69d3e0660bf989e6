"""The three data sets of `benchmarks/results/first_hour.md`.

python -m benchmarks.first_hour_data FOLDER

FOLDER/flat       1,000 pictures without labels in one folder: crops of the
                  photographs of scikit-image and drawn shapes, half JPEG, half
                  PNG, of many sizes; five are cut short, three are of formats
                  that are not read, ten are copies
FOLDER/labelled   a folder for each of six photographs, 20 crops in each
FOLDER/pairs.tar  400 crops with captions, as webdataset names them
"""

import io
import pathlib
import sys
import tarfile

import numpy as np
from PIL import Image, ImageDraw
import skimage.data

from jaxssl.data.photo_captions import CAPTIONS

_NAMES = (
  *('astronaut', 'brick', 'camera', 'cat', 'clock', 'coffee', 'coins'),
  *('grass', 'gravel', 'rocket'),
)
_LABELLED = ('astronaut', 'brick', 'cat', 'coffee', 'coins', 'grass')
_SHAPES = ('ellipse', 'rectangle')


def main() -> None:
  folder = pathlib.Path(sys.argv[1])
  generator = np.random.default_rng(0)
  _write_flat(folder / 'flat', generator)
  _write_labelled(folder / 'labelled', generator)
  _write_pairs(folder / 'pairs.tar', generator)


def _crop(name: str, generator: np.random.Generator) -> Image.Image:
  photo = Image.fromarray(getattr(skimage.data, name)()).convert('RGB')
  width, height = generator.integers(120, 280, 2)
  left = generator.integers(0, photo.width - width + 1)
  top = generator.integers(0, photo.height - height + 1)
  return photo.crop((left, top, left + width, top + height))


def _shapes(generator: np.random.Generator) -> Image.Image:
  width, height = generator.integers(120, 280, 2)
  ground, *colors = generator.integers(0, 256, (4, 3)).tolist()
  image = Image.new('RGB', (width, height), tuple(ground))
  draw = ImageDraw.Draw(image)
  for color in colors:
    x, y = generator.integers(0, width), generator.integers(0, height)
    side = generator.integers(20, 100)
    shape = getattr(draw, generator.choice(_SHAPES))
    shape((x, y, x + side, y + side), fill=tuple(color))
  return image


def _encoded(image: Image.Image, kind: str) -> bytes:
  stream = io.BytesIO()
  image.save(stream, kind)
  return stream.getvalue()


def _write_flat(folder: pathlib.Path, generator: np.random.Generator) -> None:
  folder.mkdir(parents=True)
  written = []
  for number in range(990):
    is_photo = number % 5 < 4
    name = _NAMES[number % len(_NAMES)]
    image = _crop(name, generator) if is_photo else _shapes(generator)
    kind = ('JPEG', 'PNG')[number % 2]
    path = folder / f'IMG_{number:04d}.{"jpg" if kind == "JPEG" else "png"}'
    path.write_bytes(_encoded(image, kind))
    written.append(path)
  for number, path in enumerate(written[:10]):
    copy = folder / f'copy_{number}{path.suffix}'
    copy.write_bytes(path.read_bytes())
  for path in written[100:110:2]:  # JPEGs
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
  for name in ('logo.svg', 'scan.jp2', 'shot.nef'):
    (folder / name).write_bytes(b'?')


def _write_labelled(
  folder: pathlib.Path, generator: np.random.Generator
) -> None:
  for name in _LABELLED:
    (folder / name).mkdir(parents=True)
    for number in range(20):
      image = _crop(name, generator)
      image.save(folder / name / f'{number:02d}.jpg')


def _write_pairs(path: pathlib.Path, generator: np.random.Generator) -> None:
  with tarfile.open(path, 'w') as tar:
    for number in range(400):
      name = _NAMES[number % len(_NAMES)]
      text = CAPTIONS[name][generator.integers(len(CAPTIONS[name]))]
      image = _encoded(_crop(name, generator), 'JPEG')
      for ending, content in (('jpg', image), ('txt', text.encode())):
        member = tarfile.TarInfo(f'{number:05d}.{ending}')
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))


if __name__ == '__main__':
  main()
