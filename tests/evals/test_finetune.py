import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import config, data, errors
from jaxssl.evals import adapted_encoder, finetune, settings
from jaxssl.methods.supervised import Supervised
from jaxssl.runs import fine_tuning
from jaxssl.train import learner, treatments
from jaxssl.weights.exported import load_encoder
from tests.evals.exported_vit import SIZE, exported_vit

TINY = finetune.FineTune(
  name='finetune_tiny-v1',
  epochs=3.0,
  batch_size=16,
  learning_rate=0.05,
  warmup_epochs=0.5,
  drop_path=0.1,
  pool='avg',
  mixup=0.8,
  cutmix=1.0,
  erase_prob=0.1,
  average=0.5,
)


@pytest.fixture(scope='module')
def exported():
  return exported_vit()


def make_source(seed, count=64):
  """Bright and dark pictures."""
  random = np.random.default_rng(seed)
  labels = np.arange(count) % 2
  images = random.integers(0, 128, (count, SIZE, SIZE, 3))
  images += 127 * labels[:, None, None, None]
  return data.Arrays(
    images.astype(np.uint8), labels, class_names=('dark', 'bright')
  )


def tune(evaluation, exported, train, test, folder):
  place = fine_tuning.folder_of(folder, evaluation, exported, train)
  return evaluation.run(exported, train, test, place)


@pytest.fixture(scope='module')
def run(exported, tmp_path_factory):
  folder = tmp_path_factory.mktemp('finetune')
  metrics = tune(TINY, exported, make_source(0), make_source(1), folder)
  return folder, metrics


def test_learns_what_can_be_told_apart(run):
  _, metrics = run
  assert metrics['top1'] > 0.9
  assert metrics['num_steps'] == 12
  assert (metrics['num_train'], metrics['num_test']) == (64, 64)


def test_encoder_and_classifier_are_kept(run):
  folder, metrics = run
  (place,) = folder.iterdir()
  assert place.name.startswith('finetune_tiny-v1-')
  tuned = load_encoder(place / 'export')
  assert tuned.section['pool'] == 'avg'
  assert tuned.towers['classifier']['kernel'].shape == (16, 2)
  source = make_source(1)
  records = source.fetch(np.arange(64))
  features, _ = jax.jit(tuned.encoder.apply)(
    tuned.variables, tuned.normalize(records.content)
  )
  head = tuned.towers['classifier']
  found = (features @ head['kernel'] + head['bias'][None]).argmax(axis=1)
  assert (found == records.label).mean() == metrics['top1']


def test_folder_is_named_after_what_it_depends_on(run, exported):
  folder, _ = run
  (place,) = folder.iterdir()
  told = json.loads((place / 'finetune.json').read_text())
  assert told['settings']['mixup'] == 0.8
  assert place.name.endswith(config.config_hash(told))
  source = make_source(0)
  places = {
    fine_tuning.folder_of(folder, evaluation, encoder, source).workdir.path
    for evaluation, encoder in (
      (TINY, exported),
      (dataclasses.replace(TINY, seed=1), exported),
      (TINY, dataclasses.replace(exported, step=8)),
    )
  }
  assert len(places) == 3
  assert place in places


def test_done_is_not_done_again(run, exported, monkeypatch):
  folder, metrics = run

  def no_step(*args, **kwargs):
    raise AssertionError('a finished run was trained on')

  monkeypatch.setattr(learner, 'train_step', no_step)
  again = tune(TINY, exported, make_source(0), make_source(1), folder)
  assert again == metrics


def _decayed_names(exported, settings):
  adapted = adapted_encoder.adapted(exported, pool=settings.pool, drop_path=0.0)
  params = {
    'encoder': adapted.variables['params'],
    'head': {'kernel': jnp.zeros((1, 16, 2)), 'bias': jnp.zeros((1, 2))},
  }
  tx = finetune._optimizer(settings, lambda step: 1.0)
  zeros = jax.tree.map(jnp.zeros_like, params)
  ones = jax.tree.map(jnp.ones_like, params)
  updates, _ = jax.jit(lambda: tx.update(zeros, tx.init(params), ones))()
  flat, _ = jax.tree_util.tree_flatten_with_path(updates)
  return {treatments.parameter_name(path): float(u.min()) for path, u in flat}


def test_layers_learn_at_beits_rates_and_what_is_not_decayed(exported):
  settings = dataclasses.replace(TINY, layer_decay=0.5, weight_decay=0.1)
  decays = _decayed_names(exported, settings)
  # BEiT's and MAE's formula: d^(L + 1 - i) for layer i of L = 2 blocks.
  assert decays['encoder/patch_embed/proj/kernel'] == pytest.approx(-0.1 / 8)
  assert decays['encoder/blocks_0/mlp/fc1/kernel'] == pytest.approx(-0.1 / 4)
  assert decays['encoder/blocks_1/mlp/fc1/kernel'] == pytest.approx(-0.1 / 2)
  assert decays['head/kernel'] == pytest.approx(-0.1)
  undecayed = {name for name, value in decays.items() if value == 0}
  assert {
    'head/bias',
    'encoder/cls_token',
    'encoder/pos_embed',
    'encoder/fc_norm/scale',
    'encoder/blocks_0/attn/qkv/bias',
  } <= undecayed
  assert not any(name.endswith('kernel') for name in undecayed)


def test_few_images_are_seen_more_often(exported):
  few = dataclasses.replace(TINY, min_steps=40, batch_size=64)
  method = Supervised(encoder=exported.encoder, num_classes=2)
  job = finetune._job(few, method, exported, make_source(0, count=24))
  assert (job.batch_size, job.num_steps) == (24, 40)
  many = finetune._job(few, method, exported, make_source(0, count=1600))
  assert (many.batch_size, many.num_steps) == (64, 75)


# Of table 9 of MAE's paper and of BEiT's README.
def test_published_presets():
  mae = settings.settings_of(finetune.MAE)
  assert mae == {
    'epochs': 100.0,
    'min_steps': 0,
    'batch_size': 1024,
    'learning_rate': 5e-4,
    'warmup_epochs': 5.0,
    'end_learning_rate': 1e-6,
    'weight_decay': 0.05,
    'layer_decay': 0.65,
    'drop_path': 0.1,
    'pool': 'avg',
    'label_smoothing': 0.1,
    'mixup': 0.8,
    'cutmix': 1.0,
    'erase_prob': 0.25,
    'average': 0.0,
    'templates': (),
    'classes': 'data',
    'seed': 0,
  }
  beit = settings.settings_of(finetune.BEIT)
  assert beit == mae | {'learning_rate': 1e-3, 'warmup_epochs': 20.0}
  assert beit['learning_rate'] * beit['batch_size'] / 256 == 4e-3


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'pool': 'max'}, "unknown ViT pool 'max'"),
    ({'batch_size': 12}, 'does not divide over 8 devices; use .* 8'),
    ({'warmup_epochs': 3.0}, 'warmup_steps'),
    ({'average': 1.0}, r'FineTune average is 1\.0; it must'),
    ({'mixup': -1.0}, r'FineTune mixup is -1\.0; it must'),
    ({'drop_path': 1.0}, 'drop_path is 1.0'),
  ],
)
def test_settings_that_are_not_possible(changes, message, exported, tmp_path):
  def run():
    changed = dataclasses.replace(TINY, **changes)
    tune(changed, exported, make_source(0), make_source(1), tmp_path)

  with pytest.raises(errors.UserError, match=message):
    run()


def test_a_resnet_has_no_layers_to_decay(exported):
  with pytest.raises(errors.UserError, match='layer_decay needs'):
    treatments.treatments({'conv1': {'kernel': jnp.ones(3)}}, layer_decay=0.5)


def test_splits_of_other_classes(exported, tmp_path):
  other = data.Arrays(
    np.zeros((8, SIZE, SIZE, 3), np.uint8),
    np.arange(8) % 2,
    class_names=('x', 'y'),
  )
  with pytest.raises(errors.UserError, match=r"class 'x', which the training"):
    tune(TINY, exported, make_source(0), other, tmp_path)


@pytest.mark.parametrize('kept', [(0,), (-1, 1)])
def test_images_of_a_single_class_are_refused(kept, exported, tmp_path):
  """The source names two classes, but one has all images."""
  rows = make_source(0).fetch(np.arange(64))
  labels = np.where(np.isin(rows.label, kept), rows.label, kept[0])
  one = data.Arrays(rows.content, labels, class_names=('dark', 'bright'))
  with pytest.raises(errors.UserError, match='train split has a single class'):
    tune(TINY, exported, one, make_source(1), tmp_path)
  assert not list(tmp_path.rglob('checkpoints'))
