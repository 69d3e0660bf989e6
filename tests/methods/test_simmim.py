import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors, models
from jaxssl.methods import SimMIM
from jaxssl.ops import patches
from jaxssl.weights import huggingface
from tests.models import timm_reference, transformers_reference

ROWS, SIZE, PATCH = 3, transformers_reference.SIZE, 8


def make_method(encoder=None, **changes):
  encoder = encoder or models.make_encoder(
    'vit_ti8', dim=32, depth=2, num_heads=4, use_mask_token=True
  )
  return SimMIM(**{'encoder': encoder, 'mask_size': 16, **changes})


def _loss(method, params, images):
  loss, _ = method.loss(
    params,
    {},
    {'views': (images,)},
    key=jax.random.key(5),
    step=jnp.zeros((), jnp.int32),
  )
  return loss


def _by_patches(values):
  """PixelShuffle's channels (3, p, p) as patches have them, (p, p, 3)."""
  cut = values.reshape(3, PATCH, PATCH, *values.shape[1:])
  return np.moveaxis(cut, 0, 2).reshape(values.shape)


def _from_torch(tensors, params):
  encoder = huggingface.from_huggingface(
    tensors, {'params': params['encoder']}, position='learned'
  )
  head = {
    'kernel': _by_patches(tensors['decoder.0.weight'][:, :, 0, 0]).T,
    'bias': _by_patches(tensors['decoder.0.bias']),
  }
  return jax.tree.map(jnp.asarray, {'encoder': encoder['params'], 'head': head})


@pytest.mark.reference
def test_loss_and_gradient_equal_transformers(monkeypatch):
  import torch

  model, method = transformers_reference.vit_for_masks(), make_method()
  images = timm_reference.images(SIZE, ROWS)
  keys = jax.random.split(jax.random.key(1), ROWS)
  hidden = method.draw_mask(keys, images)
  theirs = model(
    timm_reference.to_torch(images),
    bool_masked_pos=torch.from_numpy(np.array(hidden)),
  )
  theirs.loss.backward()
  shapes, _ = jax.eval_shape(
    method.init, jax.random.key(0), {'views': (images,)}
  )
  params = _from_torch(transformers_reference.tensors(model), shapes)
  monkeypatch.setattr(SimMIM, 'draw_mask', lambda self, keys, images: hidden)

  @jax.jit
  def run(params):
    prediction, places = method.predict(params, images, hidden)
    loss, gradient = jax.value_and_grad(lambda p: _loss(method, p, images))(
      params
    )
    return prediction, places, loss, gradient

  prediction, places, loss, gradient = run(params)
  wanted = theirs.reconstruction.detach().numpy().transpose(0, 2, 3, 1)
  wanted = np.take_along_axis(
    np.asarray(patches.patchify(wanted, PATCH)), np.array(places)[..., None], 1
  )
  assert timm_reference.relative_error(prediction, wanted) < 1e-5
  # Theirs divides by the number of hidden pixels plus 1e-5.
  assert float(loss) == pytest.approx(theirs.loss.item(), rel=1e-5)
  gradients = _from_torch(transformers_reference.gradients(model), shapes)
  # Sums run in another order; key biases have no gradient but rounding.
  chex.assert_trees_all_close(gradient, gradients, rtol=1e-3, atol=1e-6)


def test_hidden_patches_are_whole_squares_the_same_number_in_each_row():
  method = make_method()
  images = np.zeros((64, 64, 64, 3), np.float32)
  keys = jax.random.split(jax.random.key(0), 64)
  hidden = np.asarray(method.draw_mask(keys, images)).reshape(64, 4, 2, 4, 2)
  squares = hidden.transpose(0, 1, 3, 2, 4).reshape(64, 16, 4)
  assert (squares.all(-1) == squares.any(-1)).all()
  # 0.6 of 16, rounded up.
  assert (squares.all(-1).sum(1) == 10).all()
  share = squares.all(-1).mean(0)
  # Five deviations of the mean of 64 draws.
  np.testing.assert_allclose(share, 10 / 16, atol=0.31)


def test_counts_of_the_paper():
  method = make_method(
    models.make_encoder('vit_b16', use_mask_token=True), mask_size=32
  )
  shape = jax.ShapeDtypeStruct((2, 224, 224, 3), jnp.float32)
  keys = jax.random.split(jax.random.key(0), 2)
  zeros = np.zeros(shape.shape, np.float32)
  # 30 of 49 squares, of 2x2 patches each.
  assert np.asarray(method.draw_mask(keys, zeros)).sum(1).tolist() == [120] * 2


def test_hidden_pixels_are_not_seen():
  method = make_method()
  images = timm_reference.images(SIZE, ROWS)
  params, _ = jax.jit(method.init)(jax.random.key(0), {'views': (images,)})
  hidden = method.draw_mask(jax.random.split(jax.random.key(1), ROWS), images)
  cut = np.where(hidden[:, :, None], 9.0, patches.patchify(images, PATCH))
  changed = patches.unpatchify(cut, PATCH, (4, 4))
  run = jax.jit(method.predict)
  chex.assert_trees_all_equal(
    run(params, changed, hidden), run(params, images, hidden)
  )


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'encoder': models.make_encoder('resnet18')}, 'needs a vision transf'),
    ({'encoder': models.make_encoder('vit_ti8')}, 'use_mask_token=True'),
    ({'mask_size': 12}, 'no multiple of the patches of 8'),
    ({'mask_ratio': 0.0}, r'SimMIM mask_ratio is 0\.0; it must'),
  ],
)
def test_wrong_fields_are_user_errors(changes, message):
  with pytest.raises(errors.UserError, match=message):
    make_method(**changes)


@pytest.mark.parametrize(
  ('changes', 'size', 'message'),
  [
    ({}, 40, 'do not divide images of 40x40'),
    ({'mask_ratio': 0.9}, 32, 'hides all of 4 squares'),
  ],
)
def test_wrong_images_are_user_errors(changes, size, message):
  keys = jax.random.split(jax.random.key(0), 1)
  images = np.zeros((1, size, size, 3), np.float32)
  with pytest.raises(errors.UserError, match=message):
    make_method(**changes).draw_mask(keys, images)
