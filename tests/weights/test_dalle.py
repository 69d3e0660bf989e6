import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors, models
from jaxssl.models.dvae import DVAEDecoder, map_pixels
from jaxssl.weights import dalle, safetensors_file
from tests.weights.dalle_tensors import to_dalle

WIDTH, BLOCKS, VOCABULARY, INIT_WIDTH = 8, 2, 32, 12
ENCODER = models.make_encoder(
  'dvae', width=WIDTH, blocks_per_group=BLOCKS, vocab_size=VOCABULARY
)
DECODER = DVAEDecoder(
  width=WIDTH, blocks_per_group=BLOCKS, init_width=INIT_WIDTH
)


def _images():
  return np.random.default_rng(0).random((2, 16, 24, 3), np.float32)


def _tensors(network):
  return {n: p.detach().numpy() for n, p in network.named_parameters()}


def _channels_first(array):
  import torch

  return torch.from_numpy(np.moveaxis(np.array(array), -1, 1).copy())


@pytest.mark.reference
def test_encoder_equals_pytorch_through_a_file(tmp_path):
  import torch

  from tests.models import dalle_reference

  torch.manual_seed(0)
  network = dalle_reference.encoder(WIDTH, BLOCKS, VOCABULARY)
  path = tmp_path / 'encoder.safetensors'
  safetensors_file.write(path, _tensors(network))
  shapes = jax.eval_shape(ENCODER.init, jax.random.key(0), _images())
  variables = dalle.from_dalle(safetensors_file.read(path), shapes)
  _, out = jax.jit(ENCODER.apply)(variables, _images())
  with torch.no_grad():
    theirs = network(_channels_first(map_pixels(_images()))).movedim(1, -1)
  np.testing.assert_allclose(out['logits'], theirs, rtol=1e-4, atol=1e-5)
  chex.assert_trees_all_equal(to_dalle(variables), _tensors(network))


@pytest.mark.reference
def test_decoder_equals_pytorch():
  import torch

  from tests.models import dalle_reference

  torch.manual_seed(0)
  network = dalle_reference.decoder(WIDTH, BLOCKS, VOCABULARY, INIT_WIDTH)
  codes = np.random.default_rng(1).dirichlet(np.ones(VOCABULARY), (2, 2, 3))
  codes = codes.astype(np.float32)
  shapes = jax.eval_shape(DECODER.init, jax.random.key(0), codes)
  variables = dalle.from_dalle(_tensors(network), shapes)
  ours = jnp.concatenate(jax.jit(DECODER.apply)(variables, codes), axis=-1)
  with torch.no_grad():
    theirs = network(_channels_first(codes)).movedim(1, -1)
  np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'blocks.input.w': np.zeros((8, 3, 5, 5))}, 'blocks.input.w has shape'),
    ({'blocks.group_9.b': np.zeros(3)}, r'blocks\.group_9\.b is not used'),
    ({'blocks.output.conv.b': None}, r'blocks\.output\.conv\.b is missing'),
  ],
)
def test_tensors_that_do_not_fit_are_user_errors(change, message):
  shapes = jax.eval_shape(ENCODER.init, jax.random.key(0), _images())
  zeros = jax.tree.map(lambda s: np.zeros(s.shape, np.float32), shapes)
  tensors = to_dalle(zeros) | change
  tensors = {n: t for n, t in tensors.items() if t is not None}
  with pytest.raises(errors.UserError, match=message):
    dalle.from_dalle(tensors, shapes)
