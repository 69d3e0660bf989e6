"""What a pretext task asks about images, and what the model answers."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl.augment.view import Augment
from jaxssl.data.shown import show_like
from jaxssl.methods import variables
from jaxssl.methods.base import PyTree
from jaxssl.methods.jigsaw import GRID, Jigsaw
from jaxssl.methods.relative_patch import RelativePatch, both_orders
from jaxssl.methods.rotation import NUM_ROTATIONS, Rotation, rotations
from jaxssl.ops import tiles
from jaxssl.pictures.panel import Column, Panel

_PLACES = (
  'above left',
  'above',
  'above right',
  'left',
  'right',
  'below left',
  'below',
  'below right',
)
_BETWEEN = 2  # pixels between the tiles of a puzzle
_DIM = 0.3  # brightness of what is not part of the question


def rotation_panel(
  method: Rotation,
  params: PyTree,
  state: PyTree,
  images: np.ndarray,
  augment: Augment,
) -> Panel:
  """Draws the four rotations of images, with the angles the model takes.

  Args:
    method: what was trained.
    params: parameters of the method.
    state: state of the method.
    images: uint8 [n, H, H, 3].
    augment: augmentation of the run; its mean and deviation are used.
  """
  turned = np.stack(rotations(jnp.asarray(images)), axis=1)

  @jax.jit
  def answer(params: PyTree, state: PyTree, turned: jax.Array) -> jax.Array:
    x = augment.normalize(turned.reshape(-1, *images.shape[1:]))
    logits = variables.apply(
      method.net, {'params': params, **state}, x, train=False
    )
    return logits.argmax(-1).reshape(-1, NUM_ROTATIONS)

  answers = np.asarray(answer(params, state, jnp.asarray(turned)))
  right = (answers == np.arange(NUM_ROTATIONS)).mean()
  shown = show_like(images)(turned)
  return Panel(
    name='puzzle',
    title='By how much is it turned? (rotation)',
    text='Each image turned against the clock by the angle above the column; '
    f'below it the answer of the model. {right:.0%} of the answers here are '
    'right; guessing gives 25%.',
    columns=[
      Column(
        title=f'{90 * k} degrees',
        images=shown[:, k],
        captions=[f'answer: {90 * a}' for a in answers[:, k]],
      )
      for k in range(NUM_ROTATIONS)
    ],
  )


def jigsaw_panel(
  method: Jigsaw,
  params: PyTree,
  state: PyTree,
  images: np.ndarray,
  augment: Augment,
) -> Panel:
  """Draws shuffled tiles and how the model puts them back.

  Args:
    method: see `rotation_panel`.
    params: see `rotation_panel`.
    state: see `rotation_panel`.
    images: see `rotation_panel`.
    augment: see `rotation_panel`.
  """
  cut_key, order_key = jax.random.split(jax.random.key(0))
  keys = jax.random.split(cut_key, len(images))
  count = len(state['permutations'])
  asked = jax.random.randint(order_key, (len(images),), 0, count)
  orders = jnp.asarray(state['permutations'])[asked]

  @jax.jit
  def answer(
    params: PyTree, state: PyTree, images: jax.Array
  ) -> tuple[jax.Array, ...]:
    cut = method.cut(keys, augment.normalize(images))
    logits = variables.apply(
      method.net,
      {'params': params, **state['stats']},
      tiles.standardize(cut),
      orders[:, None],
      train=False,
    )
    shown = augment.denormalize(cut)
    return shown, logits[:, 0].argmax(-1)

  cut, answers = map(np.asarray, answer(params, state, jnp.asarray(images)))
  show = show_like(images)
  cut = show(cut)
  rows = np.arange(len(images))[:, None]
  shuffled = cut[rows, np.asarray(orders)]
  solved = np.zeros_like(shuffled)
  solved[rows, np.asarray(state['permutations'])[answers]] = shuffled
  right = answers == np.asarray(asked)
  return Panel(
    name='puzzle',
    title='In which order were the tiles? (jigsaw)',
    text='Nine tiles of an image, shuffled by one of '
    f'{count} permutations, and put back as the model answers. Colours are '
    'moved and gaps left on purpose, so that borders do not tell. '
    f'{right.mean():.0%} of the answers here are right; guessing gives '
    f'{1 / count:.1%}.',
    columns=[
      Column(title='image', images=show(images)),
      Column(title='shuffled', images=mosaic(shuffled)),
      Column(
        title='put back',
        images=mosaic(solved),
        captions=['right' if r else 'wrong' for r in right],
      ),
    ],
  )


def relative_patch_panel(
  method: RelativePatch,
  params: PyTree,
  state: PyTree,
  images: np.ndarray,
  augment: Augment,
) -> Panel:
  """Draws pairs of patches and where the model thinks the second lies.

  Args:
    method: see `rotation_panel`.
    params: see `rotation_panel`.
    state: see `rotation_panel`.
    images: see `rotation_panel`.
    augment: see `rotation_panel`.
  """

  @jax.jit
  def answer(
    params: PyTree, state: PyTree, images: jax.Array
  ) -> tuple[jax.Array, ...]:
    pairs = method.pairs(jax.random.key(0), augment.normalize(images))
    logits = variables.apply(
      method.net,
      {'params': params, **state},
      pairs.patches,
      both_orders(len(images)),
      train=False,
    )
    return pairs.corners, pairs.place, logits[:, 0].argmax(-1)

  corners, places, answers = map(
    np.asarray, answer(params, state, jnp.asarray(images))
  )
  right = (places == answers).mean()
  size, images = method.patch_size, show_like(images)(images)
  first, second = (_cut(images, corners[:, i], size) for i in range(2))
  return Panel(
    name='puzzle',
    title='Where does the second patch lie? (relative patch location)',
    text='The model sees two patches, each with one colour channel only (not '
    'drawn), and says at which of eight places around the first one the second '
    f'lies. {right:.0%} of the answers here are right; guessing gives 12.5%.',
    columns=[
      Column(title='image', images=_light_up(images, corners, size)),
      Column(
        title='first', images=first, captions=[_PLACES[p] for p in places]
      ),
      Column(
        title='second',
        images=second,
        captions=[f'answer: {_PLACES[a]}' for a in answers],
      ),
    ],
  )


def mosaic(shown: np.ndarray) -> np.ndarray:
  """Lays nine tiles side by side, white between them.

  Args:
    shown: uint8 [n, 9, p, p, 3].

  Returns:
    uint8 [n, 3 p + 4, 3 p + 4, 3].
  """
  n, _, p, _, _ = shown.shape
  step = p + _BETWEEN
  side = GRID * step - _BETWEEN
  out = np.full((n, side, side, 3), 255, np.uint8)
  for i in range(GRID * GRID):
    row, column = (step * x for x in divmod(i, GRID))
    out[:, row : row + p, column : column + p] = shown[:, i]
  return out


def _cut(images: np.ndarray, corners: np.ndarray, size: int) -> np.ndarray:
  """Returns the square of each image [n, H, W, 3] at corners [n, 2]."""
  return np.stack(
    [
      image[top : top + size, left : left + size]
      for image, (top, left) in zip(images, corners, strict=True)
    ]
  )


def _light_up(images: np.ndarray, corners: np.ndarray, size: int) -> np.ndarray:
  """Darkens images but for the squares at corners [n, m, 2]."""
  out = (images * _DIM).astype(np.uint8)
  for image, dark, places in zip(images, out, corners, strict=True):
    for top, left in places:
      square = slice(top, top + size), slice(left, left + size)
      dark[square] = image[square]
  return out
