import pytest

from jaxssl import build, config, defaults


@pytest.mark.parametrize('encoder', ['resnet18', 'vit_s16'])
@pytest.mark.parametrize(
  'data', ['photos', 'digits', 'cifar10', 'imagenet2012']
)
def test_every_default_is_a_complete_config(encoder, data):
  complete = build.complete(defaults.default_config('simclr', encoder, data))
  assert complete['encoder']['name'] == encoder
  assert complete['data']['name'] == data
  assert config.from_json(config.to_json(complete)) == complete


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
