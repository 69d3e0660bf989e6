"""Every method on pictures of five channels: traced, or refused in a line."""

import dataclasses
import inspect

import jax
import numpy as np
import optax
import pytest

from jaxssl import build, defaults
from jaxssl.augment.any_channels import for_bands
from jaxssl.augment.bands import Bands
from jaxssl.config import schema
from jaxssl.data.batch_shapes import batch_shapes
from jaxssl.errors import UserError
from jaxssl.methods import METHODS
from jaxssl.train.learner import Learner
from tests import tiny_methods
from tests.tiny_teacher import tiny_teacher, tiny_teacher_folder
from tests.tiny_tokenizer import tiny_codebook, tiny_tokenizer

BANDS = Bands(channels=5)
SIZE = tiny_methods.SIZE


def _method(name):
  taken = inspect.signature(METHODS[name].make).parameters
  given = {
    'channels': 5,
    'tokenizer': tiny_codebook(5),
    'teacher': tiny_teacher(5),
  }
  return tiny_methods.make(
    name, **{key: value for key, value in given.items() if key in taken}
  )


@pytest.mark.parametrize(
  'name', [name for name, row in METHODS.items() if not row.only_rgb]
)
def test_a_step_of_every_method_takes_five_channels(name):
  batch = batch_shapes(
    tiny_methods.ROWS,
    bands=BANDS,
    image_size=SIZE,
    text_length=tiny_methods.TEXT_LENGTH,
  )
  learner = Learner(
    method=_method(name),
    augment=for_bands(tiny_methods.augment(name), BANDS),
    tx=optax.sgd(0.1),
  )
  state = learner.abstract(batch)
  after, metrics = jax.eval_shape(learner.step, state, batch)
  assert jax.tree.map(np.shape, after) == jax.tree.map(np.shape, state)
  assert metrics['loss'].shape == ()


@dataclasses.dataclass(frozen=True)
class _Source:
  num_examples: int = 1000


def _build(method, **inputs):
  sections = defaults.default_config(method, None, 'digits')
  inputs = {'channels': 5, 'mean': (0.1,) * 5, 'std': (0.1,) * 5} | inputs
  section = {**sections['input'], **inputs}
  config = schema.complete({**sections, 'input': section})
  return build.build(config, source=_Source())


def test_colours_are_not_learned_of_other_channels():
  with pytest.raises(UserError, match='learns from the colours of RGB'):
    _build('colorization')


@pytest.mark.parametrize(
  ('name', 'key', 'folder'),
  [
    ('beit', 'tokenizer', tiny_tokenizer),
    ('distillation', 'teacher', tiny_teacher_folder),
  ],
)
def test_frozen_networks_of_other_channels_are_refused(
  name, key, folder, monkeypatch
):
  sections = defaults.default_config(name, None, 'digits')
  method = {**sections['method'], key: folder()}
  monkeypatch.setattr(
    defaults, 'default_config', lambda *_: {**sections, 'method': method}
  )
  with pytest.raises(UserError, match='takes pictures of 3 channels'):
    _build(name)


@pytest.mark.parametrize('name', ['mae', 'dvae'])
def test_what_predicts_pixels_says_how_many_it_is_made_for(name):
  batch = {'views': (jax.ShapeDtypeStruct((2, SIZE, SIZE, 5), np.float32),)}
  with pytest.raises(UserError, match='made for images of 3 channels'):
    jax.eval_shape(tiny_methods.make(name).init, jax.random.key(0), batch)


def test_channels_without_a_mean_are_refused():
  with pytest.raises(UserError, match='mean of 5 channels is missing'):
    _build('mae', mean=None)
  with pytest.raises(UserError, match='a number per channel, of 5'):
    _build('mae', mean=(0.1,) * 4)
  with pytest.raises(UserError, match='give channels as well'):
    _build('mae', channels=None, value_range=(0.0, 1.0))


def test_the_loss_of_guessing_knows_the_channels():
  three, five = (
    tiny_methods.make('mae', channels=n).loss_of_guessing for n in (3, 5)
  )
  assert three == 1 - 1 / (3 * 16)
  assert five == 1 - 1 / (5 * 16)
