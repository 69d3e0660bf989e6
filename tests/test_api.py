import logging

import chex
from flax import nnx
import jax
import numpy as np
import optax
from PIL import Image
import pytest

import jaxssl
from jaxssl import api, cli, data, models
from jaxssl.augment import recipes
from jaxssl.augment.preprocessing import usual
from jaxssl.errors import UserError
from jaxssl.methods import SimCLR
from jaxssl.weights import timm_model
from jaxssl.weights.exported import ExportedEncoder, save_encoder
from tests.models import timm_reference

SIZE = 16


@pytest.fixture
def exported():
  section = {'name': 'resnet18', 'width': 0.0625, 'stem': 'cifar'}
  encoder = models.make_encoder(**section)
  x = timm_reference.images(SIZE)
  return ExportedEncoder(
    section=section,
    variables=jax.tree.map(
      np.asarray, timm_reference.random_variables(encoder, x)
    ),
    preprocessing=usual(SIZE),
    step=0,
    config_hash='x',
  )


@pytest.fixture
def pictures(tmp_path):
  folder = tmp_path / 'pictures'
  folder.mkdir()
  rng = np.random.default_rng(0)
  for number in range(3):
    pixels = rng.integers(0, 256, (20 + 5 * number, 31, 3), np.uint8)
    Image.fromarray(pixels).save(folder / f'{number}.png')
  return folder


@pytest.mark.parametrize('place', ['a', 'a/export'])
def test_load_gives_the_features_of_the_pipeline(
  place, exported, pictures, tmp_path
):
  save_encoder(tmp_path / 'a' / 'export', exported)
  loaded = jaxssl.load(tmp_path / place)
  images = loaded.preprocess(sorted(pictures.iterdir()))
  assert images.shape == (3, SIZE, SIZE, 3)
  features, _ = loaded.encoder.apply(loaded.variables, images)
  source = data.make_source('folder', path=str(pictures), split='all')
  expected = jaxssl.embed(loaded, source, batch_size=4)
  np.testing.assert_allclose(features, expected.features, rtol=1e-4, atol=1e-5)


def test_load_takes_the_folder_of_another_library(tmp_path):
  section = {'name': 'vit_ti8', 'dim': 16, 'depth': 1, 'num_heads': 2}
  encoder = models.make_encoder(**section)
  variables = timm_reference.random_variables(
    encoder, timm_reference.images(SIZE)
  )
  exported = ExportedEncoder(
    section=section,
    variables=jax.tree.map(np.asarray, variables),
    preprocessing=usual(SIZE, mean=(0.1, 0.2, 0.3)),
    step=0,
    config_hash='x',
  )
  timm_model.save(tmp_path, exported)
  for given in (tmp_path, tmp_path / 'model.safetensors'):
    loaded = jaxssl.load(given)
    assert loaded.preprocessing == exported.preprocessing
    chex.assert_trees_all_equal(loaded.variables, exported.variables)


def test_load_takes_an_id_of_the_hub(exported, tmp_path, monkeypatch):
  constants = pytest.importorskip('huggingface_hub.constants')
  monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
  monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path))
  monkeypatch.chdir(tmp_path)
  entry = tmp_path / 'models--owner--name'
  save_encoder(entry / 'snapshots' / '0a1b', exported)
  (entry / 'refs').mkdir()
  (entry / 'refs' / 'main').write_text('0a1b')
  loaded = jaxssl.load('owner/name')
  chex.assert_trees_all_equal(loaded.variables, exported.variables)
  (tmp_path / 'runs' / 'simclr').mkdir(parents=True)
  message = r"is no file or folder here \(did you mean 'runs/simclr'\?\)"
  with pytest.raises(UserError, match=message):
    jaxssl.load('runs/simcrl')


def test_a_module_of_nnx_has_the_weights_and_a_gradient(exported, tmp_path):
  loaded = jaxssl.load(save_encoder(tmp_path / 'export', exported))
  images = timm_reference.images(SIZE)
  module = loaded.to_nnx()
  features, out = module(images)
  expected, _ = loaded.encoder.apply(loaded.variables, images)
  np.testing.assert_array_equal(features, expected)
  assert 'stage4' in out
  gradient = nnx.grad(lambda module: module(images)[0].sum())(module)
  params = loaded.variables['params']
  assert len(jax.tree.leaves(gradient)) == len(jax.tree.leaves(params))


def test_load_tells_what_is_not_there(tmp_path):
  with pytest.raises(UserError, match='no encoder in'):
    jaxssl.load(tmp_path)


def test_preprocess_names_what_is_no_picture(exported, pictures, tmp_path):
  loaded = jaxssl.load(save_encoder(tmp_path / 'export', exported))
  (pictures / 'b.png').write_text('no picture')
  with pytest.raises(UserError, match=r'b\.png.*cannot be read'):
    loaded.preprocess([pictures / '0.png', pictures / 'b.png'])
  with pytest.raises(UserError, match='takes a list of files'):
    loaded.preprocess('a.png')
  with pytest.raises(UserError, match='no files'):
    loaded.preprocess([])


def test_unknown_names_of_the_package():
  with pytest.raises(AttributeError, match='nonsense'):
    _ = jaxssl.nonsense


SMALL = {
  'encoder.dim': 16,
  'encoder.depth': 1,
  'encoder.num_heads': 2,
  'encoder.pool': 'avg',
  'head.num_layers': 2,
  'head.out_dim': 8,
  'train.num_devices': 1,
  'train.log_steps': 1,
  'train.tensorboard': False,
  'eval.limit': 64,
}
PLAIN = {'steps': 4, 'batch_size': 16}


@pytest.fixture
def _log_as_before():
  # A command points the log at the standard error of its time.
  root, package = logging.getLogger(), logging.getLogger('jaxssl')
  handlers, level = root.handlers[:], package.level
  raises = logging.raiseExceptions
  yield
  root.handlers[:] = handlers
  package.setLevel(level)
  logging.raiseExceptions = raises


@pytest.mark.usefixtures('_log_as_before')
def test_pretrain_by_name_is_the_command(tmp_path):
  """The same config, metrics and weights; and other commands go on with it."""
  options = {'encoder': 'vit_ti8', 'overrides': SMALL, **PLAIN}
  trained = jaxssl.pretrain(
    'simclr', 'digits', workdir=tmp_path / 'python', **options
  )
  command = [
    *('train', '--method', 'simclr', '--data', 'digits'),
    *('--encoder', 'vit_ti8', '--workdir', str(tmp_path / 'command')),
    *(f'--{name}={value}' for name, value in PLAIN.items()),
    *(f'--config.{key}={value}' for key, value in SMALL.items()),
  ]
  assert cli.main(command) == 0
  python, other = tmp_path / 'python', tmp_path / 'command'
  # `lock` and times apart.
  names = {path.name for path in python.iterdir()}
  assert names == {path.name for path in other.iterdir()}
  assert {'config.json', 'train.log', 'metrics.jsonl', 'export'} <= names
  assert (python / 'config.json').read_text() == (
    other / 'config.json'
  ).read_text()
  expected = jaxssl.load(other)
  jax.tree.map(
    np.testing.assert_array_equal, trained.variables, expected.variables
  )
  log = (python / 'train.log').read_text()
  assert 'step 4/4' in log
  assert 'done: 4 steps' in log
  out = tmp_path / 'features.npz'
  assert cli.main(['embed', '--workdir', str(python), '--out', str(out)]) == 0


def test_pretrain_by_name_refuses_what_the_command_refuses(tmp_path):
  for changes, message in (
    ({'method': 'simclr2'}, "did you mean 'simclr'"),
    ({'stepps': 3}, "did you mean 'steps'"),
    ({'overrides': {'train.step': 3}}, "did you mean 'train.steps'"),
  ):
    options = {'method': 'simclr', 'source': 'digits', **changes}
    with pytest.raises(UserError, match=message):
      jaxssl.pretrain(workdir=tmp_path / 'new', **options)
  assert not (tmp_path / 'new').exists()


def test_lines_are_shown_where_no_log_is_set_up(capsys):
  root = logging.getLogger()
  handlers, root.handlers[:] = root.handlers[:], []
  try:
    with api._shown():
      logging.getLogger('jaxssl.train').info('step 1')
  finally:
    root.handlers[:] = handlers
  assert capsys.readouterr().out == 'step 1\n'


@pytest.mark.parametrize('batch_size', [0, 3])
def test_a_batch_that_does_not_divide_is_told(batch_size, tmp_path):
  source = data.make_source('digits')
  method = SimCLR(encoder=models.make_encoder('resnet18', width=0.125))
  with pytest.raises(UserError, match='does not divide over 8 devices'):
    api.pretrain_by_parts(
      method,
      source,
      augment=recipes.simclr_cifar(size=8),
      tx=optax.sgd(0.1),
      num_steps=1,
      batch_size=batch_size,
      workdir=tmp_path / 'run',
    )
  assert not (tmp_path / 'run').exists()


def test_overrides_may_be_paths_and_numbers_of_numpy(tmp_path):
  changes = {
    'optim.weight_decay': np.float64(0.1),
    'train.init_encoder': tmp_path / 'no encoder',
  }
  with pytest.raises(UserError, match='no encoder in') as error:
    jaxssl.pretrain(
      'simclr', 'digits', workdir=tmp_path / 'new', overrides=changes
    )
  assert 'PosixPath' not in str(error.value)
