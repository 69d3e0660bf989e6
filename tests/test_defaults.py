import jax
import jax.numpy as jnp
import pytest

from jaxssl import build, config, defaults
from jaxssl.config import schema
from jaxssl.errors import UserError
from jaxssl.methods import METHODS
from jaxssl.scale import Facts
from jaxssl.weights.exported import abstract_variables


@pytest.mark.parametrize('encoder', ['resnet18', 'vit_s16', 'convnext_t'])
@pytest.mark.parametrize(
  'data', ['photos', 'digits', 'cifar10', 'imagenet2012']
)
def test_every_default_is_a_complete_config(encoder, data):
  complete = schema.complete(defaults.default_config('simclr', encoder, data))
  assert complete['encoder']['name'] == encoder
  assert complete['data']['name'] == data
  assert config.from_json(config.to_json(complete)) == complete


def test_an_unknown_method_has_no_defaults():
  with pytest.raises(UserError, match=r"unknown method 'simclrr'.*'simclr'"):
    defaults.default_config('simclrr', 'resnet18', 'digits')


@pytest.mark.parametrize(
  ('length', 'warmup'),
  [
    (None, {'warmup_epochs': 10}),
    ({'epochs': 800}, {'warmup_epochs': 10}),
    ({'epochs': 5}, {'warmup_epochs': 0.5}),
    ({'steps': 5}, {'warmup_steps': 0}),
    ({'steps': 200, 'epochs': 7}, {'warmup_steps': 20}),
    ({'steps': 200, 'batch_size': 8}, {'warmup_steps': 20}),
  ],
)
def test_the_warm_up_fits_into_the_run(length, warmup):
  asked = defaults.Asked(**(length or {}))
  config = defaults.default_config('simclr', 'resnet18', 'digits', asked)
  rate = config['optim']['learning_rate']
  assert {k: v for k, v in rate.items() if 'warmup' in k} == warmup
  assert config['train'].items() >= (length or {'epochs': 100}).items()


def test_small_pictures_stay_small():
  config = defaults.default_config('simclr', 'resnet18', 'cifar10')
  assert config['encoder']['stem'] == 'cifar'
  assert config['augment'] == {'name': 'simclr_cifar', 'size': 32}
  assert config['input'] == {'crop': 'device', 'image_size': 32}
  config = defaults.default_config('simclr', 'convnextv2_atto', 'cifar10')
  assert config['encoder'] == {'name': 'convnextv2_atto', 'stem_size': 1}


def test_folder_is_cropped_on_the_host(tmp_path):
  config = defaults.default_config('simclr', 'vit_s16', str(tmp_path))
  assert config['data'] == {
    'name': 'folder',
    'path': str(tmp_path),
    'test_fraction': 0.1,
  }
  assert config['input'] == {'crop': 'host', 'image_size': 224}
  assert 'stem' not in config['encoder']


@pytest.mark.parametrize('data', ['photos', 'imagenet2012'])
@pytest.mark.parametrize('encoder', ['resnet18', 'vit_ti4', 'convnext_t'])
@pytest.mark.parametrize(
  'method', ['rotation', 'relative_patch', 'jigsaw', 'colorization']
)
def test_pretext_tasks_fit_their_views(method, encoder, data):
  complete = schema.complete(defaults.default_config(method, encoder, data))
  section = {k: v for k, v in complete['method'].items() if k != 'name'}
  task = METHODS[method].make(encoder=build.build_encoder(complete), **section)
  size = complete['augment']['size']
  view = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
  params, state = jax.eval_shape(
    task.init, jax.random.key(0), {'views': (view,)}
  )
  exported = task.export(params, state)['encoder']
  whole = abstract_variables(task.encoder, complete['input']['image_size'])
  assert jax.tree.map(jnp.shape, exported) == jax.tree.map(jnp.shape, whole)


# Method -> the config in `configs/` whose numbers for AdamW are its own.
PUBLISHED = {
  'beit': 'beit_vit_b16_imagenet',
  'clip': 'clip_vit_b32_tar',
  'dino': 'dino_vit_s16_imagenet',
  'mae': 'mae_vit_b16_imagenet',
  'moco_v3': 'moco_v3_vit_s16_imagenet',
  'siglip': 'siglip_vit_b16_tar',
  'simclr': 'simclr_vit_s16_folder',
}


@pytest.mark.parametrize('method', PUBLISHED)
def test_a_method_has_the_rates_of_its_published_config(method):
  path = f'configs/{PUBLISHED[method]}.py'
  published = schema.complete(config.load_file(path))
  ours = _complete(defaults.default_config(method, 'vit_s16', 'cars'))
  theirs = published['optim']
  for section in (theirs, ours['optim']):
    rate = section['learning_rate']
    for key in ('warmup_epochs', 'warmup_steps'):
      rate.pop(key)
  if method == 'beit':  # of batch 2048, unscaled
    theirs['learning_rate']['start'] /= 8
  differ = config.differences(theirs, ours['optim'])
  known = {'lr_scaling', 'exclude'}  # rates of large batches stay as they are
  assert {line.partition(':')[0] for line in differ} <= known


def _complete(made):
  if made['method']['name'] == 'beit':
    made['method']['tokenizer'] = 'export'  # nobody knows where it lies
  if made['method']['name'] == 'distillation':
    made['method']['teacher'] = 'export'
  return schema.complete(made)


def _facts(count, **changes):
  known = {
    'num_pictures': count,
    'side': 500,
    'num_classes': 3,
    'on_accelerator': True,
    'num_devices': 1,
  }
  return Facts(**{**known, **changes})


def _scaled(method, facts, encoder=None, **asked):
  made = defaults.default_config(
    method, encoder, 'cars', defaults.Asked(**asked), facts
  )
  return _complete(made)


@pytest.mark.parametrize('count', [2, 60, 5_000, 1_000_000])
@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('on_accelerator', [False, True])
def test_defaults_fit_the_data(method, count, on_accelerator):
  made = _scaled(method, _facts(count, on_accelerator=on_accelerator))
  train = made['train']
  assert train['batch_size'] <= count
  assert train['checkpoint_steps'] == made['eval']['steps']
  assert made['encoder'].get('dtype', 'float32') == (
    'bfloat16' if on_accelerator else 'float32'
  )
  if 'queue_size' in made['method']:
    assert made['method']['queue_size'] % train['batch_size'] == 0
  rate = made['optim']['learning_rate']
  assert rate['warmup_epochs'] < train['epochs']


def test_a_method_brings_its_encoder():
  facts = _facts(1000)
  assert _scaled('mae', facts)['encoder']['name'] == 'vit_s16'
  on_cpu = _facts(1000, on_accelerator=False)
  assert _scaled('mae', on_cpu)['encoder']['name'] == 'vit_ti16'
  tiny = _facts(1000, side=30)
  assert _scaled('mae', tiny)['encoder']['name'] == 'vit_ti4'
  assert _scaled('supervised', facts)['method']['num_classes'] == 3


def test_what_is_asked_for_wins():
  made = _scaled('dino', _facts(90), steps=40, batch_size=12, image_size=64)
  assert made['train']['steps'] == 40
  assert made['train']['batch_size'] == 12
  assert made['augment']['size'] == made['input']['image_size'] == 64
  assert made['augment']['local_size'] % 16 == 0
  assert made['method']['momentum']['start'] == 0.9


def test_a_batch_divides_over_the_devices():
  many = _scaled('simclr', _facts(100, num_devices=6))['train']
  assert (many['batch_size'], many['num_devices']) == (60, None)
  few = _scaled('simclr', _facts(5, num_devices=8))['train']
  assert (few['batch_size'], few['num_devices']) == (4, 4)
