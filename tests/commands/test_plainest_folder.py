"""Folders without splits, as most people have them."""

import json
import shutil

import numpy as np
from PIL import Image
import pytest

from tests.commands import runs

_DATA = ('--config.input.image_size=32', '--config.augment.size=32')


def _pictures(folder, names):
  generator = np.random.default_rng(len(names))
  for name in names:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = generator.integers(0, 256, (36, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
  return folder


@pytest.fixture(scope='module')
def labelled(tmp_path_factory):
  """Two classes of twenty, without train and test."""
  names = [f'{kind}/{i}.png' for kind in ('cat', 'dog') for i in range(20)]
  return _pictures(tmp_path_factory.mktemp('labelled'), names)


@pytest.fixture(scope='module')
def flat_run(tmp_path_factory, picture_folder):
  workdir = tmp_path_factory.mktemp('flat') / 'run'
  more = ('--config.eval.steps=4', '--config.train.epochs=None')
  assert runs.train(workdir, f'--data={picture_folder}', *_DATA, *more) == 0
  return workdir


@pytest.fixture
def copied_run(flat_run, tmp_path):
  return shutil.copytree(flat_run, tmp_path / 'run')


def _result(workdir):
  (path,) = (workdir / 'results').glob('*.json')
  return json.loads(path.read_text())


def test_hold_out_is_in_the_first_line_and_in_the_config(flat_run):
  first = (flat_run / 'train.log').read_text().splitlines()[0]
  assert '36 images and 4 held out for test' in first
  config = json.loads((flat_run / 'config.json').read_text())
  assert config['data']['test_fraction'] == 0.1


def test_pictures_of_a_flat_folder_are_drawn(copied_run, tmp_path):
  assert runs.jaxssl('plot', f'--workdir={copied_run}') == 0
  assert (copied_run / 'pictures' / 'curve.png').exists()
  assert (copied_run / 'pictures' / 'features.png').exists()
  assert runs.jaxssl('visualize', f'--workdir={copied_run}') == 0


def test_all_of_a_folder_is_embedded(flat_run, picture_folder, tmp_path):
  for number, more in enumerate(((), (f'--data={picture_folder}',))):
    out = tmp_path / f'{number}.npz'
    where = (f'--workdir={flat_run}', f'--out={out}')
    assert runs.jaxssl('embed', *where, *more) == 0
    with np.load(out) as found:
      assert len(found['names']) == 40


def test_online_knn_of_class_folders(labelled, tmp_path):
  workdir = tmp_path / 'run'
  more = ('--config.eval.steps=4', f'--data={labelled}')
  assert runs.train(workdir, *_DATA, *more) == 0
  assert any('knn/top1' in line for line in runs.metrics(workdir))


def test_class_folders_are_evaluated_on_a_share_of_each(
  copied_run, labelled, capsys
):
  evaluate = ('eval', 'knn', f'--workdir={copied_run}', f'--data={labelled}')
  assert runs.jaxssl(*evaluate, '--test_fraction=0.2') == 0
  records = _result(copied_run)['records']
  assert records['train']['images'] == 32
  assert records['test']['images'] == 8
  assert records['shared'] == records['trained_on'] == 0
  assert 'test: 8 pictures' in capsys.readouterr().out


def test_measuring_on_training_pictures_is_said(labelled, tmp_path, capsys):
  workdir = tmp_path / 'run'
  assert runs.train(workdir, f'--data={labelled}', *_DATA) == 0
  evaluate = ('eval', 'knn', f'--workdir={workdir}', f'--data={labelled}')
  assert runs.jaxssl(*evaluate, '--test_split=all') == 0
  records = _result(workdir)['records']
  assert (records['shared'], records['trained_on']) == (36, 36)
  assert 'they find themselves' in capsys.readouterr().err
  # Other shares than those of the run: training has seen some of them.
  assert runs.jaxssl(*evaluate, '--test_fraction=0.5') == 0
  records = _result(workdir)['records']
  assert (records['shared'], records['trained_on']) == (0, 16)


def test_a_run_on_all_pictures_is_drawn_and_refused_in_one_line(
  picture_folder, tmp_path, capsys
):
  workdir = tmp_path / 'run'
  data = (f'--data={picture_folder}', '--test_fraction=0')
  assert runs.train(workdir, *data, *_DATA) == 0
  assert runs.jaxssl('plot', f'--workdir={workdir}') == 0
  assert (workdir / 'pictures' / 'features.png').exists()
  assert runs.jaxssl('eval', 'knn', f'--workdir={workdir}') == 2
  assert '--test_fraction 0.1' in capsys.readouterr().err


@pytest.mark.parametrize('form', ['folders', 'pattern', 'list'])
def test_several_folders_a_pattern_and_a_list_go_the_whole_way(
  labelled, form, tmp_path
):
  for kind in ('cat', 'dog'):  # a second folder with the same classes
    shutil.copytree(labelled / kind, tmp_path / 'more' / kind)
    shutil.copytree(labelled / kind, tmp_path / 'some' / kind)
  names = sorted(path for path in tmp_path.rglob('*.png'))
  (tmp_path / 'list.txt').write_text('\n'.join(map(str, names)))
  named = {
    'folders': [tmp_path / 'more', tmp_path / 'some'],
    'pattern': [tmp_path / '*' / '*' / '*.png'],
    'list': [tmp_path / 'list.txt'],
  }[form]
  workdir, out = tmp_path / 'run', tmp_path / 'features.npz'
  where = f'--workdir={workdir}'
  train = runs.train_arguments(workdir, '--data', *map(str, named), *_DATA)
  assert runs.jaxssl(*train) == 0
  # The same data in other words of the command line are the same run.
  assert runs.jaxssl(*train) == 0
  assert runs.jaxssl('train', where, '--steps=6') == 0
  assert runs.jaxssl('eval', 'knn', where, '--data', *named) == 0
  records = _result(workdir)['records']
  # Each picture is there twice, and both are in one split.
  assert (records['train']['images'], records['test']['images']) == (72, 8)
  assert records['shared'] == records['trained_on'] == 0
  assert runs.jaxssl('embed', where, f'--out={out}') == 0
  with np.load(out) as found:
    classes = ('cat', 'dog') if form == 'folders' else ('more', 'some')
    assert tuple(found['class_names'].tolist()) == classes
    assert sorted(found['names'].tolist()) == sorted(map(str, names))


def test_copies_under_other_names_are_known(
  labelled, copied_run, flat_run, picture_folder, tmp_path, capsys
):
  other = tmp_path / 'other'
  for kind, numbers in (('one', range(12)), ('two', range(12, 24))):
    (other / kind).mkdir(parents=True)
    pictures = sorted(picture_folder.rglob('*.png'))
    for number in numbers:
      shutil.copy(pictures[number], other / kind / f'copy{number}.png')
  twin = shutil.copy(other / 'one' / 'copy3.png', other / 'one' / 'twin.png')
  evaluate = ('eval', 'knn', f'--workdir={copied_run}', f'--data={other}')
  assert runs.jaxssl(*evaluate, '--test_fraction=0.3') == 0
  told = capsys.readouterr()
  records = _result(copied_run)['records']
  assert records['compared_by'] == 'content'
  assert records['shared'] == 0
  # 36 of the 40 pictures were trained on, so at least 3 of these 7.
  assert records['trained_on'] >= records['test']['images'] - 4 > 0
  assert 'the encoder was trained on' in told.err
  assert records['copies']['count'] == 1
  assert str(twin) in records['copies']['examples'][0]
  assert '1 picture appears more than once, e.g. ' in told.out
  assert runs.jaxssl('report', copied_run) == 0
  assert 'appears more than once' in (copied_run / 'report.html').read_text()


def test_pictures_of_one_class_are_trained_on(tmp_path, capsys):
  names = [
    f'{part}/cat/{i}.png' for part in ('train', 'test') for i in range(16)
  ]
  _pictures(tmp_path / 'data', names)
  workdir = tmp_path / 'run'
  more = (f'--data={tmp_path / "data"}', *_DATA, '--config.eval.steps=2')
  assert runs.train(workdir, *more) == 0
  assert 'no online kNN: ' in capsys.readouterr().err
  assert not any('knn/top1' in line for line in runs.metrics(workdir))
