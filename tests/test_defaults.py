import jax
import jax.numpy as jnp
import pytest

from jaxssl import build, config, defaults
from jaxssl.config import schema
from jaxssl.errors import UserError
from jaxssl.methods import METHODS
from jaxssl.weights.exported import abstract_variables


@pytest.mark.parametrize('encoder', ['resnet18', 'vit_s16'])
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
  ],
)
def test_the_warm_up_fits_into_the_run(length, warmup):
  config = defaults.default_config('simclr', 'resnet18', 'digits', length)
  rate = config['optim']['learning_rate']
  assert {k: v for k, v in rate.items() if 'warmup' in k} == warmup
  assert config['train'].items() >= (length or {'epochs': 100}).items()


def test_small_pictures_stay_small():
  config = defaults.default_config('simclr', 'resnet18', 'cifar10')
  assert config['encoder']['stem'] == 'cifar'
  assert config['augment'] == {'name': 'simclr_cifar', 'size': 32}
  assert config['input'] == {'crop': 'device', 'image_size': 32}


def test_folder_is_cropped_on_the_host(tmp_path):
  config = defaults.default_config('simclr', 'vit_s16', str(tmp_path))
  assert config['data'] == {'name': 'folder', 'path': str(tmp_path)}
  assert config['input'] == {'crop': 'host', 'image_size': 224}
  assert 'stem' not in config['encoder']


@pytest.mark.parametrize('data', ['photos', 'imagenet2012'])
@pytest.mark.parametrize('encoder', ['resnet18', 'vit_ti4'])
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
