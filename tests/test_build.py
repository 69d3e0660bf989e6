import dataclasses
import pathlib
import runpy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxssl
from jaxssl import build, config, job
from jaxssl.augment.view import Augment
from jaxssl.config import schema, shipped
from jaxssl.errors import UserError
from jaxssl.methods import METHODS, SimCLR
from jaxssl.models import ResNet, SimCLRHead
from tests.tiny_teacher import tiny_teacher
from tests.tiny_tokenizer import tiny_codebook

FOLDER = pathlib.Path(jaxssl.__file__).parent.parent / 'configs'


def _configs():
  """Every file, with each argument that it takes."""
  for path in sorted(FOLDER.glob('*.py')):
    if shipped.argument(path):
      for argument in runpy.run_path(str(path))['ARGUMENTS']:
        yield f'{path}:{argument}'
    else:
      yield str(path)


CONFIGS = tuple(_configs())
SMALL = {
  'method': {'name': 'simclr', 'temperature': 0.2},
  'encoder': {'name': 'resnet18', 'width': 0.25, 'stem': 'cifar'},
  'augment': {'name': 'simclr_cifar', 'size': 16},
  'data': {'name': 'digits'},
  'optim': {'name': 'sgd', 'learning_rate': 0.1},
  'train': {'steps': 10, 'batch_size': 64},
}


@dataclasses.dataclass(frozen=True)
class FakeSource:
  """A data set of which only the size matters."""

  num_examples: int = 64_000


@pytest.fixture
def without_data(monkeypatch):
  def build_source(config, *, split=None):
    return FakeSource()

  monkeypatch.setattr(build, 'build_source', build_source)
  # BEiT's configs name a tokenizer that the user trains first.
  monkeypatch.setattr(build, 'load_codebook', lambda folder: tiny_codebook())
  # And distillation's a teacher.
  monkeypatch.setattr(build, 'load_teacher', lambda folder: tiny_teacher())


def _config(**changes):
  """`SMALL` with dotted keys replaced or added, completed."""
  flat = config.flatten(SMALL)
  for key, value in changes.items():
    flat[key.replace('__', '.')] = value
  return schema.complete(config.unflatten(flat))


def _with_recipe(name, recipe):
  """The small config of a method, with another recipe of views."""
  sections = config.load_file(FOLDER / f'{METHODS[name].config}.py')
  sections['augment'] = {'name': recipe, 'size': 32}
  return schema.complete(sections)


def _batch(run):
  """Shapes of a batch as the input pipeline would make it."""
  size = run.input.image_size
  image = jax.ShapeDtypeStruct((2, size, size, 3), jnp.uint8)
  text = {}
  if run.tokenizer is not None:
    shape = (2, run.tokenizer.length)
    text = {'text': jax.ShapeDtypeStruct(shape, jnp.int32)}
  if run.input.crop == 'device':
    return {'image': image, **text}
  sizes = [crop.size for crop in run.learner.augment.crops]
  return {
    **text,
    'crops': tuple(
      jax.ShapeDtypeStruct((2, size, size, 3), jnp.uint8) for size in sizes
    ),
  }


@pytest.mark.slow
@pytest.mark.usefixtures('without_data')
@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.rpartition('/')[2])
def test_every_config_file_is_complete_and_builds(path):
  complete = schema.complete(config.load_file(path))
  assert schema.complete(complete) == complete
  assert config.from_json(config.to_json(complete)) == complete
  run = build.build(complete)
  # Shapes only: rules find their parameters, views fit the encoder.
  state = run.learner.abstract(_batch(run))
  method = run.learner.method
  assert 'encoder' in method.export(state.params, state.method_state)
  assert 0 < float(jnp.max(jax.vmap(run.learning_rate)(jnp.arange(64)))) < 100


@pytest.mark.usefixtures('without_data')
class TestBuild:
  def _build(self, **changes):
    return build.build(_config(**changes))

  def test_objects_have_the_values_of_the_config(self):
    run = self._build(head__name='simclr', head__out_dim=32, seed=5)
    assert run.seed == 5
    assert isinstance(run.encoder, ResNet)
    assert (run.encoder.depth, run.encoder.width) == (18, 0.25)
    assert isinstance(run.learner.method, SimCLR)
    assert run.learner.method.encoder is run.encoder
    assert run.learner.method.temperature == 0.2
    assert run.learner.method.head == SimCLRHead(out_dim=32)
    assert isinstance(run.learner.augment, Augment)
    assert [view.crop.size for view in run.learner.augment.views] == [16, 16]

  def test_a_warm_up_that_does_not_fit_is_shortened(self, caplog):
    rate = {'name': 'cosine', 'start': 1.0, 'warmup_steps': 30}
    run = self._build(
      optim__learning_rate=rate, optim__lr_scaling='none', train__steps=20
    )
    rates = [float(run.learning_rate(step)) for step in range(3)]
    assert rates == [0.0, 0.5, 1.0]
    assert 'a warm-up of 30 steps' in caplog.text

  def test_epochs_become_steps(self):
    run = self._build(train__steps=None, train__epochs=1.5)
    assert run.steps_per_epoch == 1000.0
    assert run.num_steps == 1500

  def test_steps_win_over_epochs(self):
    assert self._build(train__epochs=1.5).num_steps == 10

  @pytest.mark.parametrize(
    ('scaling', 'factor'), [('none', 1), ('linear', 64 / 256), ('sqrt', 8)]
  )
  def test_learning_rate_scales_with_the_batch(self, scaling, factor):
    run = self._build(optim__lr_scaling=scaling)
    np.testing.assert_allclose(run.learning_rate(0), 0.1 * factor, rtol=1e-6)

  def test_warmup_in_epochs(self):
    rate = {'name': 'cosine', 'start': 1.0, 'warmup_epochs': 2}
    run = self._build(
      train__steps=None,
      train__epochs=10,
      optim__learning_rate=rate,
      optim__lr_scaling='none',
    )
    values = [float(run.learning_rate(k)) for k in (500, 1999, 2000, 10_000)]
    np.testing.assert_allclose(values, [0.25, 0.9995, 1, 0], atol=1e-6)

  def test_warmup_steps_win_over_its_epochs(self):
    rate = {'name': 'cosine', 'start': 1.0, 'warmup_epochs': 2}
    run = self._build(
      optim__learning_rate={**rate, 'warmup_steps': 4},
      optim__lr_scaling='none',
    )
    np.testing.assert_allclose(run.learning_rate(2), 0.5, rtol=1e-6)

  def test_end_of_the_schedule_is_absolute(self):
    rate = {'name': 'cosine', 'start': 1.0, 'end': 0.01}
    run = self._build(optim__learning_rate=rate)
    np.testing.assert_allclose(run.learning_rate(10), 0.01, rtol=1e-5)

  def test_cosine_by_epochs_knows_the_fraction_of_an_epoch(self):
    rate = {'name': 'cosine', 'start': 1.0, 'convention': 'epoch'}
    run = build.build(
      _config(
        train__steps=None,
        train__epochs=20,
        train__batch_size=100,
        train__num_devices=1,
        optim__learning_rate=rate,
      ),
      FakeSource(743),
    )
    assert run.num_steps == 149
    values = jax.vmap(run.learning_rate)(jnp.arange(run.num_steps))
    assert len(np.unique(values)) == 20

  def test_boundaries_in_epochs(self):
    rate = {
      'name': 'piecewise',
      'start': 1.0,
      'factor': 0.1,
      'boundary_epochs': (2, 4),
    }
    run = self._build(
      train__steps=None,
      train__epochs=5,
      optim__learning_rate=rate,
      optim__lr_scaling='none',
    )
    values = [float(run.learning_rate(k)) for k in (1999, 2000, 4000)]
    np.testing.assert_allclose(values, [1, 0.1, 0.01], rtol=1e-5)

  def test_freezing_in_epochs_and_decay_schedule_reach_the_optimizer(self):
    run = self._build(
      train__steps=None,
      train__epochs=1,
      train__batch_size=32_000,  # two steps per epoch
      optim__lr_scaling='none',
      optim__momentum=0.0,
      optim__weight_decay={'name': 'linear', 'start': 0.0, 'end': 1.0},
      optim__rules=({'match': '^last', 'freeze_epochs': 0.5},),
    )
    params = {'first': jnp.ones(2), 'last': jnp.ones(2)}
    state, seen = run.learner.tx.init(params), []
    for _ in range(2):
      zeros = jax.tree.map(jnp.zeros_like, params)
      updates, state = run.learner.tx.update(zeros, state, params)
      seen.append({name: float(u[0]) for name, u in updates.items()})
    # Weight decay is 0, then 0.5; it alone moves the parameters.
    assert seen[0] == {'first': 0.0, 'last': 0.0}
    np.testing.assert_allclose(
      [seen[1]['first'], seen[1]['last']], [-0.05, -0.05], rtol=1e-6
    )

  @pytest.mark.parametrize(
    ('changes', 'message'),
    [
      ({'train__batch_size': 60}, 'does not divide over 8 devices; use 56 or'),
      ({'train__batch_size': 4}, 'batch of 4 does not divide over 8 devices'),
      ({'train__num_devices': 9}, 'this machine has 8 cpu'),
      (
        {'train__mode': 'jitt'},
        "unknown config.train.mode 'jitt'; did you mean 'jit'",
      ),
      ({'train__batch_size': -8}, 'train.batch_size is -8; it must be posi'),
      ({'train__batch_size': '64'}, "batch_size takes an integer, got '64'"),
      ({'train__steps': 1e3}, r'train.steps takes .*int.*, got 1000'),
      (
        {'train__tensorboard': 1},
        'train.tensorboard takes true or false, got 1',
      ),
      ({'train__steps': None}, 'set config.train.steps or config.train.epochs'),
      ({'input__crop': 'hots'}, "unknown config.input.crop 'hots'.*'host'"),
      (
        {'optim__lr_scaling': 'cubic'},
        "config.optim.lr_scaling 'cubic'",
      ),
    ],
  )
  def test_impossible_values_are_told(self, changes, message):
    with pytest.raises(UserError, match=message):
      self._build(**changes)


def test_another_split_of_the_data(monkeypatch):
  sections = []
  monkeypatch.setattr(
    build.data, 'make_source', lambda **section: sections.append(section)
  )
  config = _config(data__split='train')
  build.build_source(config)
  build.build_eval_source(config, split='test')
  assert [section['split'] for section in sections] == ['train', 'test']
  assert config['data']['split'] == 'train'


class TestPairs:
  def _clip(self, **changes):
    changes = {
      'method__name': 'clip',
      'augment__name': 'clip',
      'text__length': 12,
      **changes,
    }
    return _config(**changes)

  def test_sizes_of_the_text_tower_follow_from_the_tokenizer(self):
    run = build.build(self._clip())
    tower = run.learner.method.text_encoder
    assert tower.length == 12
    assert tower.vocab_size == run.tokenizer.vocab_size
    assert tower.eot_id == run.tokenizer.end_id

  @pytest.mark.parametrize(
    ('changes', 'message'),
    [
      ({'text_encoder__vocab_size': 9}, r'vocab_size is 9, but the tokenizer'),
      ({'text_encoder__length': 8}, r'length is 8, but the tokenizer has 12'),
      ({'train__micro_batches': 7}, 'does not divide into 7 micro-batches'),
    ],
  )
  def test_what_does_not_fit_is_a_user_error(self, changes, message):
    with pytest.raises(UserError, match=message):
      build.build(self._clip(**changes))

  def test_only_some_methods_start_from_a_trained_encoder(self):
    dvae = {
      'method': {'name': 'dvae'},
      'encoder': {'name': 'dvae'},
      'augment': {'name': 'dvae', 'size': 16},
      'train': {**SMALL['train'], 'init_encoder': 'runs/a'},
      'eval': {'steps': 0},
    }
    run = build.build(schema.complete({**SMALL, **dvae}))
    with pytest.raises(UserError, match="'dvae' cannot start from"):
      job.make_job(run).load_towers()

  def test_only_image_text_methods_start_from_a_text_tower(self):
    run = build.build(_config(train__init_text_encoder='a', eval__steps=0))
    with pytest.raises(UserError, match="'simclr' has no text tower"):
      job.make_job(run).load_towers()

  def test_a_method_whose_rows_meet_on_the_way_cannot_be_cut(self):
    section = {**SMALL, 'method': {'name': 'moco_v2'}}
    section['train'] = {**SMALL['train'], 'micro_batches': 2}
    with pytest.raises(UserError, match='MoCo cannot take its batch in parts'):
      build.build(schema.complete(section))


def test_a_batch_of_one_row_is_refused_before_a_contrast_is_trained():
  # One device: several would refuse a batch of one that does not divide.
  one = _config(train__batch_size=1, train__num_devices=1)
  with pytest.raises(UserError, match='SimCLR compares the rows of a batch'):
    build.build(one, FakeSource())


def test_several_captions_for_a_method_without_texts_are_refused():
  with pytest.raises(UserError, match='takes no text; leave config'):
    build.build(_config(input__captions=2), FakeSource())


PAIRS = sorted(name for name, row in METHODS.items() if row.pair)


@pytest.mark.usefixtures('without_data')
@pytest.mark.parametrize('name', PAIRS)
@pytest.mark.parametrize('recipe', ['crop_flip', 'dino'])
def test_other_views_are_not_taken_for_a_pair(name, recipe):
  with pytest.raises(UserError, match='compares two views of one size, and'):
    build.build(_with_recipe(name, recipe), FakeSource())


def test_too_few_views_are_refused():
  config_ = _with_recipe('swav', 'crop_flip')
  with pytest.raises(UserError, match=r"needs 2 views.*'crop_flip' makes 1"):
    build.build(config_, FakeSource())


@pytest.mark.parametrize('name', ['colorization', 'dvae'])
def test_values_that_are_normalised_are_not_taken_for_colours(name):
  config_ = _with_recipe(name, 'crop_flip')
  with pytest.raises(UserError, match='learns from values of 0 to 1'):
    build.build(config_, FakeSource())


@pytest.mark.usefixtures('without_data')
def test_each_classifier_of_a_sweep_has_its_rate():
  sections = config.load_file(FOLDER / 'supervised_photos.py')
  sections['method'] |= {'num_classes': 3, 'learning_rates': (1.0, 0.1)}
  sections['optim'] = {'name': 'sgd', 'learning_rate': 0.1}
  tx = build.build(schema.complete(sections)).learner.tx
  head = {'kernel': jnp.ones((2, 4, 3))}
  params = {'encoder': jnp.ones((2, 2)), 'head': head}
  updates, _ = tx.update(params, tx.init(params), params)
  first, second = updates['head']['kernel']
  assert float(jnp.abs(first).max()) > 0
  np.testing.assert_allclose(second, 0.1 * first, rtol=1e-6)


@pytest.mark.usefixtures('without_data')
def test_a_queue_must_be_a_multiple_of_the_batch():
  sections = config.load_file(FOLDER / 'moco_v2_photos.py')
  sections['method'] |= {'queue_size': 45}
  with pytest.raises(UserError, match='a queue of 45 is no multiple'):
    build.build(schema.complete(sections))


@pytest.mark.usefixtures('without_data')
def test_patches_are_not_held_to_those_of_a_random_encoder():
  sections = config.load_file(FOLDER / 'dinov3_photos.py')
  sections['method'] |= {'gram_every': 0, 'gram_start': 0}
  sections['train'] |= {'init_encoder': None}
  run = build.build(schema.complete(sections))
  with pytest.raises(UserError, match=r'which would be a random one; give'):
    job._trained_towers(run)
