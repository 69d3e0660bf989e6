import re

import jax
import numpy as np
import pytest

from jaxssl import build, defaults, models
from jaxssl.augment.preprocessing import usual
from jaxssl.config import schema
from jaxssl.errors import UserError
from jaxssl.methods import METHODS
from jaxssl.runs import adaptation
from jaxssl.scale import Facts
from jaxssl.weights.exported import ExportedEncoder, abstract_variables


def _model(name='vit_ti8', size=32, **options):
  section = {'name': name, **schema.defaults('encoder', name), **options}
  shapes = abstract_variables(models.make_encoder(**section), size)
  return ExportedEncoder(
    section=section,
    variables=jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes),
    preprocessing=usual(size, mean=(0.5,) * 3, std=(0.25,) * 3),
    step=0,
    config_hash='',
  )


def _facts(count):
  return Facts(
    num_pictures=count,
    side=64,
    num_classes=2,
    on_accelerator=False,
    num_devices=1,
  )


def _config(method='dino', model=None, count=2000, data='photos', **asked):
  model = model or _model()
  return adaptation.config_of(
    (method, model.section['name'], data),
    defaults.Asked(**asked),
    _facts(count),
    model,
    '/a/model',
  )


@pytest.mark.parametrize(
  ('count', 'rate', 'decay'),
  [
    (9_999, 0.1, 0.75),
    (10_000, 0.3, 0.9),
    (999_999, 0.3, 0.9),
    (1_000_000, 1.0, None),
  ],
)
def test_the_fewer_pictures_the_less_the_encoder_moves(count, rate, decay):
  model = _model()
  usual_config = defaults.default_config(
    'simclr', 'vit_ti8', 'photos', defaults.Asked(steps=100), _facts(count)
  )
  config = _config('simclr', model, count, steps=100)
  start = usual_config['optim']['learning_rate']['start']
  np.testing.assert_allclose(
    config['optim']['learning_rate']['start'], rate * start
  )
  assert config['optim']['layer_decay'] == decay
  assert config['optim']['freeze_steps'] == 10
  # What starts fresh learns as fast as ever.
  factors = [
    r.get('learning_rate', 1) for r in config['optim'].get('rules', ())
  ]
  assert max([1, *factors]) == pytest.approx(1 / rate, rel=1e-5)


def test_a_run_is_a_quarter_as_long():
  usual_config = defaults.default_config(
    'dino', 'vit_ti8', 'photos', defaults.Asked(), _facts(2000)
  )
  epochs = usual_config['train']['epochs']
  assert _config()['train']['epochs'] == pytest.approx(epochs / 4, abs=0.01)
  assert _config(epochs=7.0)['train']['epochs'] == 7.0


def test_positions_of_another_size_are_interpolated_not_lost():
  config = _config(model=_model(size=64))
  assert config['augment']['size'] == 32
  assert config['encoder']['grid'] == (8, 8)
  assert _config(model=_model(size=64), image_size=48)['augment']['size'] == 48
  # And never larger than the encoder knows, unless asked for.
  small = _config(model=_model(size=16), data='digits')
  assert small['augment']['size'] == 16


@pytest.mark.parametrize(
  'name', [n for n, r in METHODS.items() if r.starts_trained]
)
def test_the_pixels_are_those_of_the_model(name):
  found = _config(name, _model(use_mask_token=name == 'beit'))['input']
  if METHODS[name].needs_rgb:
    assert 'mean' not in found
  else:
    assert (found['mean'], found['std']) == ((0.5,) * 3, (0.25,) * 3)


@pytest.mark.parametrize(
  ('encoder', 'method'),
  [
    ('vit_s16', 'dino'),
    ('clip_vit_b16', 'dino'),
    ('resnet50', 'simclr'),
    ('convnext_t', 'simclr'),
  ],
)
def test_method_follows_the_kind_of_the_encoder(encoder, method):
  assert adaptation.method_for(_model(encoder, size=64)) == method


def test_a_tokenizer_is_refused():
  with pytest.raises(UserError, match='no use without its decoder'):
    adaptation.method_for(_model('dvae', size=32))


@pytest.mark.parametrize('method', ['dino', 'mae', 'moco_v2', 'simclr'])
@pytest.mark.parametrize('encoder', ['vit_ti8', 'resnet18', 'convnext_t'])
def test_config_is_complete_and_the_fresh_learn_faster(method, encoder):
  if method == 'mae' and encoder != 'vit_ti8':
    pytest.skip('MAE hides patches')
  sections = _config(method, _model(encoder), steps=20)
  run = build.build(schema.complete(sections))
  rules = [r for r in run.config['optim']['rules'] if r.get('learning_rate')]
  state = run.learner.abstract(run.batch_shapes(run.train.batch_size))
  names = [
    jax.tree_util.keystr(path, simple=True, separator='/')
    for path, _ in jax.tree_util.tree_leaves_with_path(state.params)
  ]
  fresh = {name for name in names if re.search(rules[0]['match'], name)}
  assert fresh == {name for name in names if 'encoder' not in name.split('/')}
  assert fresh
