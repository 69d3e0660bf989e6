"""`jaxssl doctor`: what it says of every source, and of every kind of fault."""

import io
import json
import re

import numpy as np
from PIL import Image
import pytest

from jaxssl import cli, data
from jaxssl.data import survey as survey_lib
from jaxssl.pictures.samples import samples
from tests.data import pairs
from tests.data.test_every_source import SOURCES

# Kind -> records that training has, but for a hold-out; classes (None without
# labels).
HELD = {
  'photos': (2 * 19, 19),
  'digits': (1438, 10),
  'shapes': (7, 5),
  'collages': (7, 19),
  'motorcycle': (7, None),
  'folder': (pairs.COUNT, None),
  'folders': (pairs.COUNT, 2),
  'list': (pairs.COUNT, None),
  'pattern': (pairs.COUNT, None),
  'tfds_tfrecord': (7, 2),
  'tfds_array_record': (7, 2),
  'pairs': (8, None),
  'tar': (pairs.COUNT, None),
  'tfrecord': (pairs.COUNT, None),
  'csv': (pairs.COUNT, None),
  'tsv': (pairs.COUNT, None),
  'jsonl': (pairs.COUNT, None),
  'sidecar': (pairs.COUNT, None),
  'mixture': (2 * pairs.COUNT, None),
  'parquet': (pairs.COUNT, 2),
  'snappy': (pairs.COUNT, 2),
}
# Their test split is not a part of it.
OWN_TEST = {
  *('photos', 'digits', 'shapes', 'collages', 'motorcycle'),
  *('tfds_tfrecord', 'tfds_array_record'),
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def _doctor(folder, name, *more, **section):
  """Exit code, and the figures of the JSON file."""
  changes = [f'--config.data.{key}={value}' for key, value in section.items()]
  path = folder / 'figures.json'
  code = cli.main(['doctor', str(name), '--json', str(path), *changes, *more])
  return code, json.loads(path.read_text()) if path.exists() else None


@pytest.mark.parametrize('kind', [k for k in SOURCES if k != 'arrays'])
def test_every_source_is_read_whole(kind, tmp_path):
  folder = tmp_path / 'data'
  folder.mkdir()
  section = SOURCES[kind](folder)
  out = tmp_path / 'samples.png'
  code, figures = _doctor(
    tmp_path, section.pop('name'), '--out', str(out), **section
  )
  assert code == 0
  records, classes = HELD[kind]
  train = figures['train']
  assert train['records'] == train['read']
  held_out = 0 if kind in OWN_TEST else figures.get('test', {}).get('read', 0)
  assert train['read'] + held_out == records
  assert not train['unreadable']
  assert len(train.get('classes', ())) == (classes or 0)
  if classes:
    assert sum(train['classes'].values()) == records
  with Image.open(out) as image:
    assert len(image.convert('RGB').getcolors(1 << 24)) > 2


def _write(root, names):
  """Files with pictures of a colour each, or with the content given."""
  for number, name in enumerate(names):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    content = names[name] if isinstance(names, dict) else None
    path.write_bytes(pairs.picture(number) if content is None else content)


SPLITS = [
  f'{split}/{kind}/{i}.png'
  for split in ('train', 'test')
  for kind in ('cat', 'dog')
  for i in range(3)
]
STRIP = io.BytesIO()
Image.new('RGB', (40, 10), (9, 9, 9)).save(STRIP, 'PNG')

# Kind of fault -> files beside those of `SPLITS`, and what is said.
FAULTS = {
  'a broken file': (
    {'train/cat/x.png': b'no picture'},
    r'^train: cannot be read: 1 \(.*cat/x\.png: it is none of',
  ),
  'an empty file': (
    {'test/cat/x.png': b''},
    r'^test: cannot be read: 1 \(.*cat/x\.png: it is empty',
  ),
  'a copy in a split': (
    {'train/cat/x.png': pairs.picture(0)},
    r'^train: copies of another picture, byte for byte: 1 '
    r'\(.*cat/0\.png = .*cat/x\.png\)$',
  ),
  'a copy in the other split': (
    {'test/cat/x.png': pairs.picture(0)},
    r'^test: copies of training pictures, byte for byte: 1 '
    r'\(.*train/cat/0\.png = .*test/cat/x\.png\)$',
  ),
  'a copy with another label': (
    {'test/dog/x.png': pairs.picture(0)},
    r'^test: copies of training pictures that have another label: 1 ',
  ),
  'classes of one name': (
    {'train/Cat_/x.png': None, 'test/Cat_/y.png': STRIP.getvalue()},
    r"^classes of nearly the same name: 1 \('Cat_' = 'cat'\)$",
  ),
  'a class without test pictures': (
    {'train/bird/x.png': STRIP.getvalue()},
    r'^test: classes without a picture: 1 \(bird\)$',
  ),
  'a strip': (
    {'train/cat/x.png': STRIP.getvalue()},
    r'^train: over 3 times as long as wide.*: 1 \(.*x\.png\)$',
  ),
  'pictures of neither split': (
    {'other/x.png': STRIP.getvalue()},
    r'^left out: pictures in the folder of neither split: 1$',
  ),
  'a format that nothing reads': (
    {'train/cat/x.jp2': b'', 'test/cat/y.svg': b''},
    r'^left out: \.jp2, a format that is not read: convert them.*: 1$',
  ),
}


@pytest.mark.parametrize('kind', FAULTS)
def test_a_fault_is_told(kind, tmp_path, capsys):
  more, said = FAULTS[kind]
  _write(tmp_path / 'data', SPLITS)
  assert _doctor(tmp_path, tmp_path / 'data')[0] == 0
  assert 'Nothing strange' in capsys.readouterr().out
  _write(tmp_path / 'data', more)
  assert _doctor(tmp_path, tmp_path / 'data')[0] == 0
  shown = capsys.readouterr().out
  lines = [re.sub(r'^\d+\. ', '', line) for line in shown.splitlines()]
  assert any(re.search(said, line) for line in lines), shown


def test_what_both_splits_leave_out_is_told_once(tmp_path, capsys):
  _write(tmp_path / 'data', [*SPLITS, 'train/cat/x.jp2', 'test/cat/y.jp2'])
  assert _doctor(tmp_path, tmp_path / 'data')[0] == 0
  shown = capsys.readouterr()
  assert re.search(r'^left out +2 +the same$', shown.out, re.MULTILINE)
  assert shown.err.count('2 left out, .jp2') == 1


def test_figures_are_those_of_the_files(tmp_path):
  _write(tmp_path / 'data', [*SPLITS, 'train/dog/x.png'])
  (tmp_path / 'data/train/dog/pipe.png').symlink_to('nothing')
  code, figures = _doctor(tmp_path, tmp_path / 'data')
  files = [*(tmp_path / 'data/train').rglob('[0-9x].png')]
  train, test = figures['train'], figures['test']
  assert code == 0
  assert train['records'] == train['read'] == 8
  assert train['classes'] == {'cat': 3, 'dog': 4}
  assert test['classes'] == {'cat': 3, 'dog': 3}
  assert train['bytes'] == sum(file.stat().st_size for file in files)
  assert train['formats'] == {'PNG': 7, 'no picture': 1}
  assert train['height'] == [12, 12, 12]
  assert train['width'] == [12, 15, 24]
  assert [*train['unreadable']] == [str(tmp_path / 'data/train/dog/pipe.png')]


def test_the_picture_shows_each_class_in_its_column(tmp_path):
  _write(tmp_path / 'data', SPLITS)
  splits = {
    name: survey_lib.read(
      data.make_source('folder', path=tmp_path / 'data', split=name)
    )
    for name in ('train', 'test')
  }
  shown = samples(splits)
  cat, dog = np.split(shown, 2, axis=1)
  for number, name in enumerate(SPLITS):
    is_there = [
      (part == pairs.color(number)).all(axis=-1).sum() > 100
      for part in (cat, dog)
    ]
    # Two of the three test pictures are shown.
    assert is_there == ['/cat/' in name, '/dog/' in name] or (
      not any(is_there) and 'test' in name
    )


def test_no_names_from_data_reach_the_terminal_as_they_are(tmp_path, capsys):
  _write(tmp_path / 'data', [*SPLITS, 'train/\x1b[2J/x\n\x1b.png'])
  _write(tmp_path / 'data', {'train/cat/\x9b.png': b'no picture'})
  out = tmp_path / 'x.png'
  assert _doctor(tmp_path, tmp_path / 'data', '--out', str(out))[0] == 0
  captured = capsys.readouterr()
  assert not set(captured.out + captured.err) & {'\x1b', '\x9b'}
  assert r'\x1b[2J' in captured.out


def test_the_data_of_a_config_are_read_as_its_run_reads_them(tmp_path):
  _write(tmp_path / 'data', [f'{kind}/{i}.png' for kind in 'ab' for i in '012'])
  path = tmp_path / 'config.py'
  path.write_text(
    'from jaxssl.defaults import default_config\n'
    'def get_config():\n'
    f'  data = {str(tmp_path / "data")!r}\n'
    "  config = default_config('simclr', 'resnet18', data)\n"
    "  config['data']['test_fraction'] = 0.5\n"
    '  return config\n'
  )
  figures = tmp_path / 'figures.json'
  assert (
    cli.main(['doctor', '--config', str(path), '--json', str(figures)]) == 0
  )
  found = json.loads(figures.read_text())
  assert found['train']['records'] + found['test']['records'] == 6


WRONG = {
  (): 'give one of DATA, --config FILE',
  ('digits', '--config', 'x.py'): 'give one of DATA, --config FILE',
  ('digits', '--limit', '0'): '--limit is 0',
  ('digits', '--out', 'x.jpg'): 'must end in .png',
  ('digits', '--json', 'x.txt'): 'must end in .json',
  ('digits', '--config.train.steps=1'): '--config.data.KEY=VALUE',
  ('nothing/there',): 'neither a folder nor',
  ('mixture', '--config.data.sources=photos'): 'is a list of sections',
  ('mixture', '--config.data.sources=[{}]'): 'is a list of sections',
}


@pytest.mark.parametrize('arguments', WRONG)
def test_a_wrong_argument_is_told_in_one_line(arguments, capsys):
  assert cli.main(['doctor', *arguments]) == 2
  error = capsys.readouterr().err.strip()
  assert WRONG[arguments] in error
  assert '\n' not in error


def test_a_limit_reads_a_part_evenly_spread(tmp_path):
  code, figures = _doctor(tmp_path, 'digits', '--limit', '20')
  assert code == 0
  assert figures['train']['read'] == 20
  assert figures['train']['records'] == 1438
