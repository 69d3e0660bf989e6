import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from jaxssl import errors, models
from jaxssl.methods import DVAE
from jaxssl.methods import dvae as dvae_lib
from jaxssl.models.dvae import map_pixels
from jaxssl.parallel import collectives
from jaxssl.weights import dalle

ROWS, SIZE, VOCABULARY = 2, 16, 16
WIDTH, BLOCKS, INIT_WIDTH = 8, 1, 12
TEMPERATURE, KL_WEIGHT = 0.5, 2.0


def make_method(**changes):
  encoder = models.make_encoder(
    'dvae', width=WIDTH, blocks_per_group=BLOCKS, vocab_size=VOCABULARY
  )
  return DVAE(
    **{'encoder': encoder, 'decoder_init_width': INIT_WIDTH, **changes}
  )


def make_images():
  return np.random.default_rng(0).random((ROWS, SIZE, SIZE, 3), np.float32)


def loss_of(method, params, images):
  return method.loss(
    params,
    {},
    {'views': (images,)},
    key=jax.random.key(4),
    step=jnp.full((), 3, jnp.int32),
  )


@functools.lru_cache
def _initial():
  batch = {'views': (make_images(),)}
  params, _ = jax.jit(make_method().init)(jax.random.key(0), batch)
  return params


def _to_torch(array):
  import torch

  array = np.asarray(array, np.float32)
  return torch.from_numpy(np.moveaxis(array, -1, 1).copy())


def _reference_loss(networks, images):
  """The negative evidence lower bound by torch.distributions."""
  import torch
  from torch import distributions

  encoder, decoder = networks
  pixels = _to_torch(map_pixels(images))
  logits = encoder(pixels).movedim(1, -1)
  keys = collectives.row_keys(jax.random.key(4), ROWS, None)
  noise = jax.vmap(lambda k: jax.random.gumbel(k, logits.shape[1:]))(keys)
  noisy = logits + torch.from_numpy(np.array(noise))
  codes = torch.softmax(noisy / TEMPERATURE, -1).movedim(-1, 1)
  location, log_scale = decoder(codes).chunk(2, dim=1)
  density = distributions.TransformedDistribution(
    distributions.Laplace(location, log_scale.exp()),
    distributions.SigmoidTransform(),
  )
  uniform = distributions.Categorical(logits=torch.zeros_like(logits))
  divergence = distributions.kl_divergence(
    distributions.Categorical(logits=logits), uniform
  )
  return -density.log_prob(pixels).mean() + KL_WEIGHT / 192 * divergence.mean()


@pytest.mark.reference
def test_loss_and_gradient_equal_pytorch():
  import torch

  from tests.models import dalle_reference

  torch.manual_seed(0)
  networks = (
    dalle_reference.encoder(WIDTH, BLOCKS, VOCABULARY),
    dalle_reference.decoder(WIDTH, BLOCKS, VOCABULARY, INIT_WIDTH),
  )
  theirs = _reference_loss(networks, make_images())
  theirs.backward()
  method = make_method(temperature=TEMPERATURE, kl_weight=KL_WEIGHT)

  def convert(read):
    return {
      name: dalle.from_dalle(
        {n: read(p).numpy() for n, p in network.named_parameters()},
        {'params': _initial()[name]},
      )['params']
      for name, network in zip(('encoder', 'decoder'), networks, strict=True)
    }

  params = convert(lambda parameter: parameter.detach())
  value_and_grad = jax.value_and_grad(loss_of, argnums=1, has_aux=True)
  grad = jax.jit(value_and_grad, static_argnums=0)
  (loss, _), ours = grad(method, params, make_images())
  assert float(loss) == pytest.approx(theirs.item(), rel=1e-5)
  # Sums run in another order; some biases have gradients of about 1e-6.
  chex.assert_trees_all_close(
    ours, convert(lambda parameter: parameter.grad), rtol=1e-3, atol=1e-6
  )


def test_density_is_normalised():
  x = np.linspace(1e-4, 1 - 1e-4, 2001, dtype=np.float32)
  density = np.exp(-dvae_lib.logit_laplace_nll(jnp.asarray(x), 0.7, -0.3))
  assert integrate.simpson(density, x=x) == pytest.approx(1, abs=2e-3)


def test_initial_loss_is_what_theory_says():
  images = make_images()
  x = 0.8 * images.astype(np.float64) + 0.1
  logit = np.log(x / (1 - x))
  expected = (np.log(2) + np.log(x * (1 - x)) + np.abs(logit)).mean()
  loss, aux = jax.jit(loss_of, static_argnums=0)(
    make_method(kl_weight=0.0), _initial(), images
  )
  # The decoder's output is about 0.02 before it has learned anything.
  assert float(loss) == pytest.approx(expected, abs=0.05)
  assert float(aux.metrics['kl']) < 0.5


def test_divergence_from_uniform_has_its_known_ends():
  logits = jnp.array([[0.0] * 8, [100.0] + [0.0] * 7])
  kl = dvae_lib.kl_from_uniform(logits)
  np.testing.assert_allclose(kl, [0.0, np.log(8)], atol=1e-6)


def _usage(codes):
  return dvae_lib.code_usage(dvae_lib.code_frequencies(codes, 16))


def test_code_usage_counts_codes_of_the_batch():
  usage = _usage(jnp.array([[0, 1], [2, 3]]))
  assert float(usage['codes_used']) == pytest.approx(4 / 16)
  assert float(usage['perplexity']) == pytest.approx(4, rel=1e-5)
  usage = _usage(jnp.zeros((2, 2), jnp.int32))
  assert float(usage['perplexity']) == pytest.approx(1, rel=1e-5)


def test_temperature_and_weight_may_be_schedules():
  by_step = make_method(
    temperature=lambda step: 0.1 * step, kl_weight=lambda step: 2.0 * step
  )
  constant = make_method(temperature=0.3, kl_weight=6.0)
  loss = jax.jit(loss_of, static_argnums=0)
  first, aux = loss(by_step, _initial(), make_images())
  second, _ = loss(constant, _initial(), make_images())
  assert float(first) == pytest.approx(float(second), rel=1e-6)
  assert float(aux.metrics['temperature']) == pytest.approx(0.3)


def test_reconstruction_is_an_image():
  pictures = make_method().reconstruct(_initial(), make_images())
  chex.assert_shape(pictures, (ROWS, SIZE, SIZE, 3))
  assert float(pictures.min()) >= 0
  assert float(pictures.max()) <= 1


def test_export_holds_both_towers():
  params = _initial()
  towers = make_method().export(params, {})
  assert set(towers) == {'encoder', 'decoder'}
  chex.assert_trees_all_equal(towers['decoder']['params'], params['decoder'])


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'encoder': models.make_encoder('vit_ti8')}, "encoder.name='dvae'"),
    ({'temperature': 0.0}, r'DVAE temperature is 0\.0; it must be positive'),
  ],
)
def test_wrong_fields_are_user_errors(changes, message):
  with pytest.raises(errors.UserError, match=message):
    make_method(**changes)
