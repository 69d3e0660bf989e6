"""A run on pictures of five channels, and every command that looks at it."""

import json
import shutil

import chex
import numpy as np
from PIL import Image
import pytest

from jaxssl.weights.exported import load_encoder
from tests.commands import runs
from tests.data import rasters

SIZE = ('--image_size=16', '--batch_size=8')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Twelve pictures of each of two classes."""
  folder = tmp_path_factory.mktemp('bands')
  for number in range(24):
    place = folder / ('dark' if number % 2 else 'light')
    place.mkdir(exist_ok=True)
    values = rasters.pixels(number)
    values[..., 3] += 1000 * (number % 2)
    (place / f'{number}.tif').write_bytes(rasters.tiff(values))
  return folder


@pytest.fixture(scope='module')
def workdir(folder, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('run') / 'run'
  assert runs.train(workdir, f'--data={folder}', *SIZE) == 0
  return workdir


def test_channels_are_recognised_measured_and_recorded(workdir):
  inputs = json.loads((workdir / 'config.json').read_text())['input']
  assert inputs['channels'] == 5
  # 600, 1200, ... with noise, of 65535.
  wanted = np.arange(1, 6) * 600 + 31.5 + np.array([0, 0, 0, 500, 0])
  np.testing.assert_allclose(inputs['mean'], wanted / 65535, rtol=0.03)
  log = (workdir / 'train.log').read_text()
  assert 'Their 5 channel(s) are kept as stored' in log
  assert 'the views do without hue and saturation, gray' in log
  exported = load_encoder(workdir / 'export')
  assert exported.num_channels == 5
  assert list(exported.mean) == inputs['mean']


def test_a_resumed_run_ends_with_the_same_bits(workdir, tmp_path):
  copy = shutil.copytree(workdir, tmp_path / 'run')
  shutil.rmtree(copy / 'checkpoints' / '4')
  shutil.rmtree(copy / 'export')
  assert runs.jaxssl('train', f'--workdir={copy}') == 0
  losses, others = (
    [line['loss'] for line in runs.metrics(w) if 'loss' in line]
    for w in (workdir, copy)
  )
  assert losses == others
  chex.assert_trees_all_equal(
    *(load_encoder(w / 'export').variables for w in (workdir, copy))
  )


def test_evaluation_reads_other_data_as_training_did(workdir, folder, tmp_path):
  out = tmp_path / 'f.npz'
  code = runs.jaxssl(
    'embed', '--workdir', workdir, '--data', folder, '--out', out
  )
  assert code == 0
  assert len(np.load(out)['features']) == 24
  assert runs.jaxssl('eval', 'knn', '--workdir', workdir, '--baselines') == 0
  (file,) = (workdir / 'results').glob('knn*.json')
  assert 'colour histogram' in file.read_text()


def test_patches_of_five_channels(workdir, folder, tmp_path):
  evaluate = ('eval', '--workdir', workdir)
  assert runs.jaxssl(*evaluate, 'correspondence') == 0
  shutil.copytree(folder, tmp_path / 'images')
  for path in (tmp_path / 'images').rglob('*.tif'):
    height, width, _ = rasters.pixels(int(path.stem)).shape
    mask = np.zeros((height, width), np.uint8)
    mask[:, width // 2 :] = 1
    place = tmp_path / 'masks' / path.parent.name
    place.mkdir(exist_ok=True, parents=True)
    Image.fromarray(mask).save(place / f'{path.stem}.png')
  assert runs.jaxssl(*evaluate, 'knn_segmentation', f'--data={tmp_path}') == 0
  (file,) = (workdir / 'results').glob('knn_seg*.json')
  metrics = json.loads(file.read_text())['metrics']
  assert metrics['num_train'] + metrics['num_test'] == 24


@pytest.mark.parametrize('command', [
  ('visualize', '--workdir'), ('report',),
])  # fmt: skip
def test_pictures_of_it_are_drawn(command, workdir):
  assert runs.jaxssl(*command, workdir) == 0


def test_what_is_defined_for_rgb_alone_says_so(workdir, capsys):
  assert runs.jaxssl('eval', 'corruptions', '--workdir', workdir) == 2
  assert 'is defined for 8-bit RGB pictures' in capsys.readouterr().err


def test_doctor_shows_the_values_of_each_channel(folder, tmp_path, capsys):
  out, figures = tmp_path / 's.png', tmp_path / 'f.json'
  code = runs.jaxssl('doctor', folder, '--out', out, '--json', figures)
  assert code == 0
  text = capsys.readouterr().out
  assert "--config.input.channels='5'" in text
  train = json.loads(figures.read_text())['train']
  assert train['unreadable'] == {}
  assert train['channels']['dtype'] == 'uint16'
  assert train['channels']['percentiles']['100'][4] >= 3000
  assert out.stat().st_size > 0


def test_weights_of_rgb_go_on_with_five_channels(
  finished_run, folder, tmp_path
):
  code = runs.train(
    tmp_path / 'run',
    f'--data={folder}',
    f'--config.train.init_encoder={finished_run}',
    *SIZE,
  )
  assert code == 0
  log = (tmp_path / 'run' / 'train.log').read_text()
  assert '5 channel(s): patch_embed.proj.kernel adapted from 3' in log


def test_gray_of_16_bits_is_one_channel(tmp_path):
  for number in range(8):
    content = rasters.gray_png(rasters.pixels(number, 1))
    (tmp_path / f'{number}.png').write_bytes(content)
  arguments = runs.train_arguments(tmp_path / 'w', f'--data={tmp_path}')
  assert runs.jaxssl(*arguments, '--steps=1', '--config.seed=1') == 0
  exported = load_encoder(tmp_path / 'w' / 'export')
  assert exported.num_channels == 1


def test_none_keeps_8_bit_rgb_and_names_what_is_missing(
  folder, tmp_path, capsys
):
  data = f'--data={folder}'
  code = runs.train(tmp_path / 'w', data, '--config.input.channels=none')
  assert code == 2
  assert 'config.input.channels reads it' in capsys.readouterr().err


def test_an_encoder_of_rgb_names_the_channels_it_cannot_read(
  finished_run, folder, capsys
):
  code = runs.jaxssl(
    *('embed', '--workdir', finished_run, '--data', folder, '--out', 'f.npz')
  )
  assert code == 2
  assert 'not one picture can be read' in capsys.readouterr().err
