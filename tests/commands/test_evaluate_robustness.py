"""`jaxssl eval corruptions` and `shift`."""

import json
import shutil

import pytest

from jaxssl import data as data_lib
from jaxssl.errors import EXIT_USAGE
from tests.commands import runs


@pytest.fixture(scope='module')
def workdir(finished_run, tmp_path_factory):
  # Results and features are of this file alone.
  return shutil.copytree(
    finished_run, tmp_path_factory.mktemp('robustness') / 'run'
  )


@pytest.fixture(scope='module')
def three_digits(tmp_path_factory):
  """Pictures of the digits 0, 1 and 7, in folders that are named in words."""
  from PIL import Image

  folder = tmp_path_factory.mktemp('three')
  source = data_lib.make_source('digits', split='test')
  for index in range(60):
    record = source.fetch([index])
    label = int(record.label[0])
    if label in (0, 1, 7):
      name = {0: 'zero', 1: 'one', 7: 'seven'}[label]
      (folder / name).mkdir(exist_ok=True)
      picture = Image.fromarray(record.content[0])
      picture.save(folder / name / f'{index}.png')
  return folder


def result(workdir, name):
  return json.loads((workdir / 'results' / f'{name}-digits.json').read_text())


def test_corruptions(workdir, capsys):
  arguments = (f'--workdir={workdir}', '--limit=64', '--severities', '1', '5')
  code = runs.jaxssl('eval', 'corruptions', *arguments, '--kinds', 'contrast')
  assert code == 0
  found = result(workdir, 'corruptions-v2')
  assert found['settings']['classifier']['name'] == 'knn-v1'
  assert found['settings']['kinds'] == ['contrast']
  metrics = found['metrics']
  wanted = (metrics['contrast_1'] + metrics['contrast_5']) / 2
  assert metrics['contrast'] == pytest.approx(wanted)
  assert 'mean of the kinds' in capsys.readouterr().out


def test_shift(workdir, three_digits, tmp_path, capsys):
  names = data_lib.make_source('digits', split='test').class_names
  words = {'zero': names[0], 'one': names[1], 'seven': names[7]}
  (tmp_path / 'map.json').write_text(json.dumps(words))
  baseline = {'drawn': [[0.5, 0.4], [0.7, 0.6]]}
  (tmp_path / 'baseline.json').write_text(json.dumps(baseline))
  code = runs.jaxssl(
    'eval',
    'shift',
    f'--workdir={workdir}',
    '--shifted',
    f'drawn={three_digits}:all',
    f'--class_map={tmp_path / "map.json"}',
    f'--baseline={tmp_path / "baseline.json"}',
  )
  assert code == 0
  metrics = result(workdir, 'shift-v1')['metrics']
  assert metrics['drawn_classes'] == 3
  # The very pictures of the test split, among three classes.
  assert metrics['drawn'] > 0.5
  assert 'drawn_effective_robustness' in metrics
  # Named as the result, so that other data have a picture of their own.
  (picture,) = (workdir / 'pictures').glob('shift-*.png')
  assert (workdir / 'results' / f'{picture.stem}.json').exists()
  assert 'under shift' in capsys.readouterr().out


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['corruptions', 'knn'], 'apart from'),
    (['corruptions', '--kinds', 'frost'], 'photographs of frost'),
    (['corruptions', '--severities', '7'], '1 to 5'),
    (['corruptions', '--layer=norm'], 'takes no --layer'),
    (['corruptions', '--templates=photo'], 'image-text run'),
    (['shift'], '--shifted NAME=DATA'),
    (['shift', '--shifted', 'digits'], 'NAME=DATA'),
    (['shift', '--shifted', 'a=digits', 'a=digits'], 'twice'),
    (['shift', '--shifted', 'a=digits', '--class_map=no.json'], 'not exist'),
    (['shift', '--shifted', 'a=digits', '--baseline=LIST'], 'one JSON object'),
    (['shift', '--shifted', 'a=digits', '--baseline=OTHER'], 'none of'),
  ],
)
def test_wrong_arguments(arguments, message, workdir, tmp_path, capsys):
  (tmp_path / 'LIST').write_text('[[0.5, 0.4]]')
  (tmp_path / 'OTHER').write_text('{"b": [[0.5, 0.4], [0.6, 0.5]]}')
  arguments = [
    a.replace('=LIST', f'={tmp_path / "LIST"}').replace(
      '=OTHER', f'={tmp_path / "OTHER"}'
    )
    for a in arguments
  ]
  code = runs.jaxssl('eval', *arguments, f'--workdir={workdir}')
  assert code == EXIT_USAGE
  assert message in capsys.readouterr().err
