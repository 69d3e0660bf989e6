import runpy

import jax
import pytest

from jaxssl import build, config
from jaxssl.comparison import Comparison
from jaxssl.config import schema, shipped
from jaxssl.methods import METHODS
from tests.test_build import FakeSource
from tests.tiny_teacher import tiny_teacher
from tests.tiny_tokenizer import tiny_codebook

# Training pictures: https://www.cs.toronto.edu/~kriz/cifar.html, TFDS'
# catalogue, and the list of Tian et al. (arXiv 1906.05849).
NUM_PICTURES = {
  'cifar10_resnet18': 50_000,
  'imagenette_resnet18': 9_469,
  'imagenette_vit_s16': 9_469,
  'imagenet100_resnet18': 126_689,
}
EPOCHS = {
  'cifar10_resnet18': 200,
  'imagenette_resnet18': 800,
  'imagenette_vit_s16': 200,
  'imagenet100_resnet18': 400,
}
FILES = {name: runpy.run_path(str(shipped.find(name))) for name in NUM_PICTURES}
PAIRS = [(name, each) for name in FILES for each in FILES[name]['ARGUMENTS']]


@pytest.fixture(autouse=True)
def without_other_runs(monkeypatch):
  monkeypatch.setattr(build, 'load_codebook', lambda folder: tiny_codebook())
  monkeypatch.setattr(build, 'load_teacher', lambda folder: tiny_teacher())


def test_these_are_all_files_with_an_argument():
  with_argument = {
    name for name, path in shipped.configs().items() if shipped.argument(path)
  }
  assert with_argument == FILES.keys()


@pytest.mark.parametrize(('name', 'method'), PAIRS)
def test_every_pair_is_complete_and_as_long_as_it_says(name, method):
  complete = schema.complete(config.load_file(f'{name}:{method}'))
  assert complete['method']['name'] == method
  run = build.build(complete, FakeSource(NUM_PICTURES[name]))
  assert run.num_steps == round(
    EPOCHS[name] * NUM_PICTURES[name] / run.train.batch_size
  )
  assert run.train.batch_size % jax.device_count() == 0
  # No picture stands in a queue twice.
  assert complete['method'].get('queue_size', 0) < NUM_PICTURES[name]
  # A look at least every tenth of the run.
  assert run.eval.steps <= run.num_steps / 10


@pytest.mark.parametrize('name', FILES)
class TestFile:
  def test_has_every_image_method_that_trains_its_encoder(self, name):
    encoder = FILES[name]['COMPARISON'].shared['encoder']['name']
    images = {k for k, row in METHODS.items() if row.text_encoder is None}
    left_out = images - set(FILES[name]['ARGUMENTS'])
    assert left_out == {k for k in images if not METHODS[k].takes(encoder)}
    assert 'dvae' in left_out
    assert ('mae' in left_out) == encoder.startswith('resnet')

  def test_rows_are_of_methods_that_it_has(self, name):
    comparison = FILES[name]['COMPARISON']
    rows = {*comparison.recipes, *comparison.needed}
    assert rows <= set(comparison.methods)

  def test_docstring_speaks_of_every_method(self, name):
    words = FILES[name]['__doc__'].replace(',', ' ').replace(':', ' ').split()
    assert set(FILES[name]['ARGUMENTS']) <= set(words)


def test_what_stands_in_a_named_section_is_its_own():
  comparison = Comparison(
    shared={
      'encoder': {'name': 'resnet18'},
      'augment': {'size': 64},
      'data': {'name': 'folder', 'path': 'x'},
      'train': {'epochs': 3, 'batch_size': 128},
    },
    recipes={
      'simclr': {
        'optim': {'name': 'sgd', 'learning_rate': 0.1},
        'augment': {'name': 'moco_v2'},
        'train': {'batch_size': 512},
      }
    },
    needed={'supervised': {'num_classes': 3}},
  )
  simclr, supervised = map(comparison.config, ('simclr', 'supervised'))
  assert simclr['optim'] == {'name': 'sgd', 'learning_rate': 0.1}
  assert simclr['augment'] == {'name': 'moco_v2', 'size': 64}
  assert simclr['train'] == {'epochs': 3, 'batch_size': 512}
  assert supervised['method'] == {'name': 'supervised', 'num_classes': 3}
  assert supervised['optim']['name'] == 'adamw'
  assert supervised['augment'] == {'name': 'simclr', 'size': 64}
  assert supervised['data'] == {'name': 'folder', 'path': 'x'}
