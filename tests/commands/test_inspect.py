"""`jaxssl inspect`: what a config means."""

import json

from PIL import Image
import pytest

from tests.commands import runs
from tests.data import pairs


def _config(text):
  """The JSON object at the beginning."""
  return json.JSONDecoder().raw_decode(text)[0]


def test_config_parameters_and_flops(finished_run, capsys):
  assert runs.jaxssl('inspect', f'--workdir={finished_run}', '--all') == 0
  text = capsys.readouterr().out
  config = json.loads((finished_run / 'config.json').read_text())
  assert _config(text) == config
  assert 'encoder/blocks_0/attn/qkv/kernel' in text
  assert 'parameters: ' in text
  assert 'steps: 4' in text
  assert 'FLOPs a step' in text


def test_what_is_not_usual_fits_a_screen(finished_run, capsys):
  assert runs.jaxssl('inspect', f'--workdir={finished_run}') == 0
  lines = capsys.readouterr().out.splitlines()
  assert len(lines) <= 24
  assert max(map(len, lines)) <= 80
  config = json.loads((finished_run / 'config.json').read_text())
  by_section = {line.split()[0]: line for line in lines}
  assert f'steps={config["train"]["steps"]}' in by_section['train']
  assert by_section['method'].split()[1].rstrip(',') == config['method']['name']
  # A default is not shown.
  assert config['train']['mode'] == 'jit'
  assert 'mode=' not in by_section['train']
  assert any(line.startswith('parameters: ') for line in lines)


@pytest.mark.parametrize('encoder', [None, 'resnet18', 'vit_ti16'])
def test_defaults_of_pairs_go_with_every_encoder(encoder, tmp_path, capsys):
  section = pairs.section('tar', tmp_path)
  more = [] if encoder is None else [f'--encoder={encoder}']
  arguments = ('--method=clip', f'--data={section["path"]}', '--steps=2')
  assert runs.jaxssl('inspect', *arguments, '--batch_size=4', *more) == 0
  assert 'optim' in capsys.readouterr().out


def test_picture_of_the_views(finished_run, tmp_path):
  before = runs.files(finished_run)
  out = tmp_path / 'new' / 'views.png'
  arguments = (f'--workdir={finished_run}', f'--out={out}', '--rows=2')
  assert runs.jaxssl('inspect', *arguments) == 0
  with Image.open(out) as picture:
    assert picture.width > 3 * 32
    assert picture.height >= 2 * 32
  assert runs.files(finished_run) == before


def test_originals_are_whole_pictures_where_the_host_crops(tmp_path, in_tmp):
  # Left half black, right half white; every crop is half as high.
  image = Image.new('RGB', (64, 64))
  image.paste((255, 255, 255), (32, 0, 64, 64))
  image.save(tmp_path / 'picture.png')
  out = tmp_path / 'out' / 'views.png'
  arguments = runs.train_arguments(
    in_tmp,
    f'--data={tmp_path}',
    '--config.augment.scale=(0.1, 0.2)',
    '--config.augment.size=16',
    '--config.input.image_size=64',
  )
  arguments = [a for a in arguments[1:] if '--workdir' not in a]
  assert runs.jaxssl('inspect', *arguments, f'--out={out}', '--rows=1') == 0
  with Image.open(out) as picture:
    row = [picture.getpixel((x, picture.height // 2)) for x in range(64)]
  assert {(0, 0, 0), (255, 255, 255)} <= set(row)


def test_other_schedule_by_its_name_alone(in_tmp, capsys):
  arguments = runs.train_arguments(
    in_tmp, '--config.optim.learning_rate.name=constant'
  )
  arguments = [
    a for a in arguments if 'warmup' not in a and '--workdir' not in a
  ]
  assert runs.jaxssl('inspect', '--all', *arguments[1:]) == 0
  rate = _config(capsys.readouterr().out)['optim']['learning_rate']
  assert rate == {'name': 'constant', 'start': 5e-4}
