"""What a method makes of what it does not see: patches, codes, colours."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl.augment.view import Augment
from jaxssl.data.shown import show_like
from jaxssl.methods.base import PyTree
from jaxssl.methods.beit import BEiT
from jaxssl.methods.codebook import Codebook
from jaxssl.methods.colorization import Colorization
from jaxssl.methods.dvae import DVAE
from jaxssl.methods.mae import MAE
from jaxssl.ops import lab, masking, patches
from jaxssl.pictures.panel import Column, Panel

_HIDDEN = 128  # gray of a hidden patch


def mae_panel(
  method: MAE,
  params: PyTree,
  state: PyTree,
  images: np.ndarray,
  augment: Augment,
) -> Panel:
  """Draws image, visible patches, and reconstruction beside the visible ones.

  Source: demo/mae_visualize.ipynb of facebookresearch/mae. Its models predict
  plain pixels; where ours predict normalised ones, each patch gets back the
  mean and deviation that it has in the image (`MAE.to_pixels`).

  Args:
    method: what was trained.
    params: parameters of the method.
    state: state of the method.
    images: uint8 [n, H, W, 3].
    augment: augmentation of the run; its mean and deviation are used.
  """
  del state
  x = augment.normalize(jnp.asarray(images))
  grid = method.encoder.grid_of(x)
  keys = jax.random.split(jax.random.key(0), len(x))
  noise = masking.row_noise(keys, grid[0] * grid[1])

  @jax.jit
  def reconstruct(
    params: PyTree, x: jax.Array, noise: jax.Array
  ) -> tuple[jax.Array, jax.Array, jax.Array]:
    prediction, hidden = method.reconstruct(params, x, noise)
    truth = patches.patchify(x, method.encoder.patch_size)
    pixels = method.to_pixels(prediction, x)
    pasted = jnp.where(hidden[:, :, None], pixels, truth)
    mean = truth.reshape(*truth.shape[:2], -1, x.shape[-1]).mean(2)
    flat = jnp.tile(mean, truth.shape[-1] // x.shape[-1])
    gray = jnp.where(hidden[:, :, None], flat, truth)
    size = method.encoder.patch_size
    pasted = patches.unpatchify(pasted, size, grid)
    return pasted, patches.unpatchify(gray, size, grid), hidden

  pasted, gray, hidden = reconstruct(params, x, noise)
  show = show_like(images)
  shown = show(images)
  text = (
    'The encoder sees the patches of the second column; the decoder predicts '
    'the gray ones. In the reconstruction, visible patches are those of the '
    'image, so seams show where prediction begins. In the last column hidden '
    'patches have their true mean colour: what the model adds is the '
    'difference.'
  )
  if method.normalize_pixels:
    text += (
      ' The model predicts patches of mean 0 and deviation 1; for the picture '
      'each gets the mean and deviation of its true patch, which the model '
      'does not know.'
    )
  return Panel(
    name='reconstruction',
    title='Reconstruction of hidden patches (MAE)',
    text=text,
    columns=[
      Column(title='image', images=shown),
      Column(title='visible', images=hide(shown, np.asarray(hidden), grid)),
      Column(title='reconstruction', images=show(augment.denormalize(pasted))),
      Column(title='patch means', images=show(augment.denormalize(gray))),
    ],
  )


def beit_panel(
  method: BEiT,
  params: PyTree,
  state: PyTree,
  images: np.ndarray,
  augment: Augment,
) -> Panel:
  """Draws image, visible patches, and the codes as the tokenizer decodes them.

  Without a decoder in the tokenizer's export there are no codes to see, and
  how many of the hidden ones are right is told instead.

  Args:
    method: see `mae_panel`.
    params: see `mae_panel`.
    state: see `mae_panel`.
    images: see `mae_panel`.
    augment: see `mae_panel`.
  """
  x = augment.normalize(jnp.asarray(images))
  grid, kind = method.encoder.grid_of(x), images.dtype
  keys = jax.random.split(jax.random.key(0), len(x))

  @jax.jit
  def predict(
    params: PyTree, state: PyTree, images: jax.Array, x: jax.Array
  ) -> tuple[jax.Array, ...]:
    hidden = method.draw_mask(keys, x)
    true = method.codes(state['tokenizer'], images / jnp.iinfo(kind).max)
    logits, places, _ = method.predict(params, x, hidden)
    rows = jnp.arange(len(x))[:, None]
    predicted = true.at[rows, places].set(logits.argmax(-1))
    return hidden, true, jnp.where(hidden, predicted, true)

  hidden, true, predicted = predict(params, state, jnp.asarray(images), x)
  hidden = np.asarray(hidden)
  right = (np.asarray(predicted == true) & hidden).sum() / max(hidden.sum(), 1)
  show = show_like(images)
  columns = [
    Column(title='image', images=show(images)),
    Column(title='visible', images=hide(show(images), hidden, grid)),
  ]
  text = (
    'The encoder sees the patches of the second column and predicts the code '
    'that the tokenizer gives each gray one. Of the hidden patches here, '
    f'{right:.0%} get the right code.'
  )
  decode = _decoder(method.tokenizer)
  if decode is None:
    text += (
      ' The export of the tokenizer holds no decoder, so the codes cannot be '
      'shown as pixels.'
    )
  else:
    shape = (len(x), *grid)
    for title, codes in (('predicted', predicted), ('true codes', true)):
      pixels = show(decode(codes.reshape(shape)))
      columns.append(Column(title=title, images=pixels))
    text += (
      ' The last two columns are codes through the decoder of the tokenizer: '
      'the predicted ones, with the true ones where patches are visible, and '
      'the true ones everywhere, the best that a prediction can look like.'
    )
  return Panel(
    name='reconstruction',
    title='Codes of hidden patches (BEiT)',
    text=text,
    columns=columns,
  )


def dvae_panel(
  method: DVAE,
  params: PyTree,
  state: PyTree,
  images: np.ndarray,
  augment: Augment,
) -> Panel:
  """Draws images and what their most likely codes keep of them.

  Args:
    method: see `mae_panel`.
    params: see `mae_panel`.
    state: see `mae_panel`.
    images: see `mae_panel`.
    augment: see `mae_panel`.
  """
  del state
  x = augment.normalize(jnp.asarray(images))
  decoded = jax.jit(method.reconstruct)(params, x)
  show = show_like(images)
  return Panel(
    name='reconstruction',
    title='Reconstruction from codes (discrete VAE)',
    text='Each image as one code out of '
    f'{method.encoder.vocab_size} for every 8x8 pixels, the most likely one, '
    'and back to pixels through the decoder.',
    columns=[
      Column(title='image', images=show(images)),
      Column(title='reconstruction', images=show(decoded)),
    ],
  )


def colorization_panel(
  method: Colorization,
  params: PyTree,
  state: PyTree,
  images: np.ndarray,
  augment: Augment,
) -> Panel:
  """Draws gray images, the colours they are given, and the true ones.

  Args:
    method: see `mae_panel`.
    params: see `mae_panel`.
    state: see `mae_panel`.
    images: see `mae_panel`.
    augment: see `mae_panel`.
  """
  x = augment.normalize(jnp.asarray(images))
  colored = jax.jit(method.colorize)(params, state, x)
  lightness = lab.rgb_to_lab(x) * jnp.array([1.0, 0.0, 0.0]).reshape(1, 1, 1, 3)
  return Panel(
    name='colors',
    title='Colours for a gray image (colorization)',
    text='The model sees the lightness in the left column and predicts a '
    f'distribution over colours at every {method.output_stride} pixels; shown '
    'is its annealed mean (temperature 0.38) under the same lightness, '
    'interpolated between these places, beside the true colours.',
    columns=[
      Column(title='gray', images=_to_uint8(lab.lab_to_rgb(lightness))),
      Column(title='predicted', images=_to_uint8(colored)),
      Column(title='truth', images=images),
    ],
  )


def hide(
  images: np.ndarray, hidden: np.ndarray, grid: tuple[int, int]
) -> np.ndarray:
  """Returns images [n, H, W, 3] with hidden patches in gray.

  Args:
    images: uint8 [n, H, W, 3].
    hidden: bool [n, rows columns].
    grid: (rows, columns) of patches.
  """
  mask = hidden.reshape(-1, *grid)
  mask = mask.repeat(images.shape[1] // grid[0], axis=1)
  mask = mask.repeat(images.shape[2] // grid[1], axis=2)
  return np.where(mask[..., None], np.uint8(_HIDDEN), images)


def _decoder(
  tokenizer: Codebook,
) -> Callable[[jax.Array], jax.Array] | None:
  """Returns codes [n, h, w] -> images in [0, 1], if there is a decoder."""
  if tokenizer.decoder is None:
    return None
  params = {'decoder': tokenizer.decoder['params']}
  method = DVAE(
    encoder=tokenizer.encoder,
    channels=len(tokenizer.mean),
    decoder_init_width=params['decoder']['input']['kernel'].shape[-1],
  )
  decode = jax.jit(method.decode)
  return lambda codes: decode(params, codes)


def _to_uint8(images: jax.Array) -> np.ndarray:
  """Returns images in [0, 1] as uint8."""
  return np.asarray(jnp.round(images * 255).astype(jnp.uint8))
