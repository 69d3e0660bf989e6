import functools
from unittest import mock

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors, models
from jaxssl.methods import BEiT
from jaxssl.weights import huggingface
from jaxssl.weights.exported import load_encoder
from tests import tiny_tokenizer
from tests.models import timm_reference, transformers_reference

ROWS, SIZE = 3, transformers_reference.SIZE
NUM_PATCHES, NUM_MASKED = 16, 7
VOCABULARY = tiny_tokenizer.VOCABULARY


def make_encoder(**changes):
  options = {
    'dim': 32,
    'depth': 2,
    'num_heads': 4,
    'position': 'relative',
    'layer_scale': 0.1,
    'use_mask_token': True,
    **changes,
  }
  return models.make_encoder('vit_ti8', **options)


def make_method(**changes):
  return BEiT(
    **{
      'encoder': make_encoder(),
      'tokenizer': tiny_tokenizer.tiny_codebook(),
      'num_masked': NUM_MASKED,
      'min_block': 2,
      **changes,
    }
  )


def make_batch():
  pixels = np.random.default_rng(0).random((ROWS, SIZE, SIZE, 3), np.float32)
  return {'pixels': pixels, 'views': ((pixels - 0.5) / 0.5,)}


@functools.lru_cache
def _initial():
  return jax.jit(make_method().init)(jax.random.key(0), make_batch())


def _loss(method, params, batch):
  return method.loss(
    params,
    _initial()[1],
    batch,
    key=jax.random.key(0),
    step=jnp.zeros((), jnp.int32),
  )


def _uneven_masks():
  """Rows that hide different numbers of patches, NUM_MASKED at most."""
  random = np.random.default_rng(2)
  mask = np.zeros((ROWS, NUM_PATCHES), bool)
  for row, count in enumerate((NUM_MASKED, 3, 5)):
    mask[row, random.permutation(NUM_PATCHES)[:count]] = True
  return mask


def _from_torch(tensors, params):
  encoder = huggingface.from_huggingface(
    tensors, {'params': params['encoder']}, position='relative'
  )
  head = {
    'kernel': tensors['lm_head.weight'].T,
    'bias': tensors['lm_head.bias'],
  }
  return jax.tree.map(jnp.asarray, {'encoder': encoder['params'], 'head': head})


@pytest.mark.reference
def test_loss_and_gradient_equal_transformers():
  import torch

  model = transformers_reference.beit(VOCABULARY)
  mask, batch = _uneven_masks(), make_batch()
  codes = np.random.default_rng(3).integers(VOCABULARY, size=mask.shape)
  theirs = model(
    timm_reference.to_torch(batch['views'][0]),
    bool_masked_pos=torch.from_numpy(mask),
    labels=torch.from_numpy(codes[mask]),
  )
  theirs.loss.backward()
  method = make_method()
  shapes = _initial()[0]
  params = _from_torch(transformers_reference.tensors(model), shapes)

  @jax.jit
  @functools.partial(jax.value_and_grad, has_aux=True)
  def run(params):
    with (
      mock.patch.object(BEiT, 'draw_mask', return_value=jnp.asarray(mask)),
      mock.patch.object(BEiT, 'codes', return_value=jnp.asarray(codes)),
    ):
      return _loss(method, params, batch)

  (loss, aux), ours = run(params)
  assert float(loss) == pytest.approx(theirs.loss.item(), rel=1e-5)
  right = (theirs.logits.argmax(-1).numpy() == codes)[mask].mean()
  assert float(aux.metrics['masked_top1']) == pytest.approx(right)
  wanted = _from_torch(transformers_reference.gradients(model), shapes)
  # Sums run in another order; key biases have no gradient but rounding.
  chex.assert_trees_all_close(ours, wanted, rtol=1e-3, atol=1e-6)


@pytest.mark.reference
def test_predictions_equal_transformers():
  import torch

  model = transformers_reference.beit(VOCABULARY)
  mask, images = _uneven_masks(), make_batch()['views'][0]
  theirs = model(
    timm_reference.to_torch(images), bool_masked_pos=torch.from_numpy(mask)
  ).logits.detach()
  params = _from_torch(transformers_reference.tensors(model), _initial()[0])
  logits, places, _ = jax.jit(make_method().predict)(params, images, mask)
  chosen = np.take_along_axis(theirs.numpy(), np.array(places)[:, :, None], 1)
  assert timm_reference.relative_error(logits, chosen) < 1e-5


def test_hidden_patches_come_first():
  method, (params, _) = make_method(), _initial()
  mask = _uneven_masks()
  images = make_batch()['views'][0]
  _, places, hidden = jax.jit(method.predict)(params, images, mask)
  for row, row_places in enumerate(np.asarray(places)):
    count = mask[row].sum()
    assert hidden[row].tolist() == [1] * count + [0] * (NUM_MASKED - count)
    assert set(row_places[:count]) == set(np.flatnonzero(mask[row]))


def test_initial_loss_is_log_of_the_codes():
  loss, aux = jax.jit(_loss, static_argnums=0)(
    make_method(), _initial()[0], make_batch()
  )
  # One draw of the classifier, and tokens that hardly differ yet: logits of
  # deviation 0.06 that do not average out.
  assert float(loss) == pytest.approx(np.log(VOCABULARY), rel=0.05)
  share = float(aux.metrics['masked_share'])
  assert 1 / NUM_PATCHES <= share <= NUM_MASKED / NUM_PATCHES


def test_codes_are_the_tokenizers_on_the_shrunk_pixels():
  method = make_method(encoder=make_encoder(patch_size=16))
  _, state = _initial()
  # Of one colour each, so that shrinking changes nothing.
  colours = np.random.default_rng(5).random((ROWS, 1, 1, 3), np.float32)
  pixels = np.broadcast_to(colours, (ROWS, SIZE, SIZE, 3))
  codes = method.codes(state['tokenizer'], pixels)
  exported = load_encoder(tiny_tokenizer.tiny_tokenizer())
  _, out = exported.encoder.apply(exported.variables, pixels[:, ::2, ::2])
  expected = out['logits'].argmax(-1).reshape(ROWS, -1)
  chex.assert_trees_all_equal(codes, expected.astype(jnp.int32))


def test_encoder_does_not_see_hidden_patches():
  method, (params, _) = make_method(), _initial()
  mask, images = _uneven_masks(), make_batch()['views'][0]
  hidden = mask.reshape(ROWS, 4, 4).repeat(8, 1).repeat(8, 2)[..., None]
  run = jax.jit(method.predict)
  before, *_ = run(params, images, mask)
  after, *_ = run(params, np.where(hidden, 7.0, images), mask)
  chex.assert_trees_all_equal(before, after)


def test_state_is_the_tokenizer():
  exported = load_encoder(tiny_tokenizer.tiny_tokenizer())
  chex.assert_trees_all_equal(_initial()[1], {'tokenizer': exported.variables})


def test_more_masks_than_patches_are_a_user_error():
  with pytest.raises(errors.UserError, match='have 16 patches'):
    jax.eval_shape(
      make_method(num_masked=75).init, jax.random.key(0), make_batch()
    )


def test_batch_without_pixels_is_a_user_error():
  batch = {'views': make_batch()['views']}
  with pytest.raises(errors.UserError, match='keep_pixels=True'):
    _loss(make_method(), _initial()[0], batch)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'encoder': make_encoder(use_mask_token=False)}, 'use_mask_token=True'),
    ({'num_masked': 0}, 'num_masked is 0; it must be positive'),
  ],
)
def test_wrong_fields_are_user_errors(changes, message):
  with pytest.raises(errors.UserError, match=message):
    make_method(**changes)
