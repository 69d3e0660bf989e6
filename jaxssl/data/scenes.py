"""Scenes of flat shapes in front of a slanted ground, and how they are drawn.

Colours and stripes are drawn without regard to the class, so that only the
outline tells it. What is far is small and pale in the fog, and hidden by what
is near. There is no antialiasing: each pixel is of one object, that of its
centre.
"""

from collections.abc import Callable
import dataclasses
from typing import Any, NamedTuple

import numpy as np

from jaxssl.data.order import mix64, uniform

_MOST_SHAPES = 4
_NEAREST, _FARTHEST = 1.5, 4.0  # of shapes; the ground lies behind
_GROUND, _HORIZON = 5.0, 8.0
_FOG, _FOG_LENGTH = 190.0, 4.0  # gray, and the depth that hides 63 %
_SLANT = 0.2
_NOISE = 8.0  # largest change of a pixel, of 255
Local = np.ndarray
# Draws of a scene: its number of shapes, the ground, and so many of each shape.
_OF_GROUND, _OF_SHAPE = 10, 20

_OUTLINES: dict[str, Callable[[Local, Local], Any]] = {
  'disc': lambda u, v: u * u + v * v <= 0.64,
  'square': lambda u, v: np.maximum(abs(u), abs(v)) <= 0.7,
  'triangle': lambda u, v: (v >= -0.5) & (v + np.sqrt(3) * abs(u) <= 1.0),
  'ring': lambda u, v: abs(np.hypot(u, v) - 0.7) <= 0.2,
  'cross': lambda u, v: (
    (np.minimum(abs(u), abs(v)) <= 0.3) & (np.maximum(abs(u), abs(v)) <= 0.9)
  ),
}
CLASSES = ('background', *_OUTLINES)


class Pose(NamedTuple):
  """Where a shape is seen: local (u, v) lie at centre + radius R(angle) (u, v).

  Attributes:
    x: column of its centre, in pixels; pixel 0 reaches from 0 to 1.
    y: row of its centre.
    angle: radians, from columns to rows.
    radius: of the circle that holds it, in pixels.
  """

  x: float
  y: float
  angle: float
  radius: float

  def to_local(
    self, x: np.ndarray, y: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns local coordinates of places in the picture."""
    right, down = (x - self.x) / self.radius, (y - self.y) / self.radius
    cos, sin = np.cos(self.angle), np.sin(self.angle)
    return right * cos + down * sin, down * cos - right * sin

  def to_picture(
    self, u: np.ndarray, v: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns places in the picture, the inverse of `to_local`."""
    cos, sin = np.cos(self.angle), np.sin(self.angle)
    return (
      self.x + self.radius * (u * cos - v * sin),
      self.y + self.radius * (u * sin + v * cos),
    )


class Look(NamedTuple):
  """What a surface looks like: two colours in stripes.

  Attributes:
    colors: float [2, 3], of 255.
    direction: of the stripes, radians.
    frequency: stripes in a local unit.
  """

  colors: np.ndarray
  direction: float
  frequency: float

  def at(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Returns the colour at local coordinates, [..., 3]."""
    along = u * np.cos(self.direction) + v * np.sin(self.direction)
    share = (0.5 + 0.5 * np.sin(2 * np.pi * self.frequency * along))[..., None]
    return share * self.colors[0] + (1 - share) * self.colors[1]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
  """A shape of a scene.

  Attributes:
    label: its class, from 1.
    depth: of its centre.
    slant: how much farther it is one radius to its right.
    look: its surface.
    poses: where it is, in the picture and in the moved one.
  """

  label: int
  depth: float
  slant: float
  look: Look
  poses: tuple[Pose, Pose]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
  """What is rendered.

  Attributes:
    size: side of the picture in pixels.
    ground: surface behind all.
    poses: where the ground is, in the picture and in the moved one.
    shapes: the farthest first.
    noise: key of the noise of each.
  """

  size: int
  ground: Look
  poses: tuple[Pose, Pose]
  shapes: tuple[Shape, ...]
  noise: tuple[int, int]


class Rendered(NamedTuple):
  """A picture and all that is known of it.

  Attributes:
    image: uint8 [S, S, 3].
    mask: class of each pixel, int32 [S, S].
    depth: float32 [S, S].
    owner: which shape each pixel shows, int [S, S]; 0 is the ground.
  """

  image: np.ndarray
  mask: np.ndarray
  depth: np.ndarray
  owner: np.ndarray


class Moved(NamedTuple):
  """A picture, the same things elsewhere, and what lies where.

  Attributes:
    image: uint8 [S, S, 3].
    moved: uint8 [S, S, 3].
    places: where the middle of each pixel is in `moved`, float32 [S, S, 2], x
      and y; NaN where it is hidden or outside.
  """

  image: np.ndarray
  moved: np.ndarray
  places: np.ndarray


def render(scene: Scene, view: int) -> Rendered:
  """Draws a scene, from the ground to the nearest shape.

  Args:
    scene: what is drawn.
    view: 0 for the picture, 1 for the moved one.
  """
  middles = np.arange(scene.size) + 0.5
  x, y = np.meshgrid(middles, middles)
  colors = scene.ground.at(*scene.poses[view].to_local(x, y))
  depth = _HORIZON + (_GROUND - _HORIZON) * y / scene.size
  owner = np.zeros(x.shape, int)
  for number, shape in enumerate(scene.shapes, start=1):
    u, v = shape.poses[view].to_local(x, y)
    inside: np.ndarray = _OUTLINES[CLASSES[shape.label]](u, v)
    colors[inside] = shape.look.at(u, v)[inside]
    depth[inside] = (shape.depth + shape.slant * u)[inside]
    owner[inside] = number
  clear = np.exp(-(depth - _NEAREST) / _FOG_LENGTH)[..., None]
  image = colors * clear + _FOG * (1 - clear)
  noise = uniform(scene.noise[view], np.arange(x.size * 3))
  image += _NOISE * (2 * noise - 1).reshape(image.shape)
  labels = np.array([0, *(shape.label for shape in scene.shapes)], np.int32)
  return Rendered(
    image.clip(0, 255).round().astype(np.uint8),
    labels[owner],
    depth.astype(np.float32),
    owner,
  )


def moved(scene: Scene) -> Moved:
  """Draws a scene and the moved one.

  Every shape moves by itself, by up to a tenth of the side, turns by up to 30
  degrees, and grows or shrinks by up to a fifth; the ground shifts.
  """
  first, second = (render(scene, view) for view in (0, 1))
  return Moved(first.image, second.image, _places(scene, first, second))


def _places(scene: Scene, first: Rendered, second: Rendered) -> np.ndarray:
  middles = np.arange(scene.size) + 0.5
  x, y = np.meshgrid(middles, middles)
  poses = [scene.poses, *(shape.poses for shape in scene.shapes)]
  places = np.full((*x.shape, 2), np.nan)
  for number, (before, after) in enumerate(poses):
    found = np.stack(after.to_picture(*before.to_local(x, y)), axis=-1)
    own = first.owner == number
    places[own] = found[own]
  inside = np.all((places >= 0) & (places < scene.size), axis=-1)
  column, row = np.where(inside[..., None], places, 0).astype(int).T
  # Two axes were turned by the transpose, and are turned back.
  is_seen = (second.owner[row, column] == first.owner.T).T & inside
  return np.where(is_seen[..., None], places, np.nan).astype(np.float32)


def drawn(size: int, key: tuple[int, ...]) -> Scene:
  """Returns a random scene.

  Args:
    size: side of the picture in pixels.
    key: the same scene for the same numbers, on every machine.
  """
  draws = uniform(*key, np.arange(1 + _OF_GROUND + _MOST_SHAPES * _OF_SHAPE))
  count = 1 + int(draws[0] * _MOST_SHAPES)
  of_ground = draws[1 : 1 + _OF_GROUND]
  of_shapes = draws[1 + _OF_GROUND :].reshape(_MOST_SHAPES, _OF_SHAPE)
  shapes = [_shape(size, values) for values in of_shapes[:count]]
  shift = size * 0.1 * (2 * of_ground[8:10] - 1)
  noise = mix64(*key, -1 - np.arange(2)).astype(np.int64).tolist()
  return Scene(
    size=size,
    ground=_look(of_ground[:8], frequency=1 + 3 * of_ground[7]),
    poses=(Pose(0, 0, 0, size), Pose(shift[0], shift[1], 0, size)),
    shapes=tuple(sorted(shapes, key=lambda shape: -shape.depth)),
    noise=(noise[0], noise[1]),
  )


def _look(draws: np.ndarray, *, frequency: float) -> Look:
  return Look(255 * draws[:6].reshape(2, 3), np.pi * draws[6], frequency)


def _shape(size: int, draws: np.ndarray) -> Shape:
  depth = _NEAREST + (_FARTHEST - _NEAREST) * draws[9]
  # As large as its distance makes it; shapes differ by a third.
  radius = size * (0.5 + 0.15 * draws[10]) / depth
  x, y = size * (0.1 + 0.8 * draws[11:13])
  angle = 2 * np.pi * draws[13]
  shift = size * 0.1 * (2 * draws[14:16] - 1)
  turn = np.pi / 6 * (2 * draws[16] - 1)
  growth = 1.25 ** (2 * draws[17] - 1)
  return Shape(
    label=1 + int(draws[8] * len(_OUTLINES)),
    depth=depth,
    slant=_SLANT * (2 * draws[18] - 1),
    look=_look(draws, frequency=0.5 + 1.5 * draws[7]),
    poses=(
      Pose(x, y, angle, radius),
      Pose(x + shift[0], y + shift[1], angle + turn, radius * growth),
    ),
  )
