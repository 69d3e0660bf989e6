"""Every source x what a run relies on."""

import json
import pathlib

import chex
import jax
import numpy as np
import pytest

from jaxssl import data
from jaxssl.augment.preprocessing import usual
from jaxssl.data import remote, sources, table
from jaxssl.errors import UserError
from jaxssl.text import make_tokenizer
from tests import object_store
from tests.data import pairs, test_stored_pairs, tiny_tfds

BATCH, STEPS = 4, 6  # more than two epochs of the small ones


def _prepared(file_format):
  def make(folder):
    tiny_tfds.prepare(folder, file_format)
    return dict(name='tiny_pictures', data_dir=str(folder))

  return make


def _plain_folder(folder):
  pairs.write_pictures(folder, range(pairs.COUNT))
  return dict(name=str(folder))


def _several(folder):
  for name, numbers in (('a', range(5)), ('b', range(5, pairs.COUNT))):
    (folder / name).mkdir()
    pairs.write_pictures(folder / name, numbers)
  return [str(folder / name) for name in ('a', 'b')]


def _listed(folder):
  pairs.write_pictures(folder, range(pairs.COUNT))
  lines = [f'{number:03}.png' for number in reversed(range(pairs.COUNT))]
  (folder / 'list.txt').write_text('\n'.join(lines))
  return dict(name=str(folder / 'list.txt'))


def _pattern(folder):
  pairs.write_pictures(folder, range(pairs.COUNT))
  return dict(name=f'{folder}/0*.png')


# Kind -> the section of a config; the files of it go into a folder.
SOURCES = {
  'photos': lambda _: dict(name='photos', crops_per_picture=2),
  'digits': lambda _: dict(name='digits'),
  'shapes': lambda _: dict(name='shapes', size=16, count=7),
  'arrays': None,  # not of a section
  'folder': _plain_folder,
  'folders': lambda folder: dict(name='folder', path=_several(folder)),
  'list': _listed,
  'pattern': _pattern,
  'tfds_tfrecord': _prepared('tfrecord'),
  'tfds_array_record': _prepared('array_record'),
  'collages': lambda _: dict(name='collages', size=16, count=7),
  'motorcycle': lambda _: dict(name='motorcycle', size=16, count=7),
  'pairs': lambda folder: dict(
    name='pairs', path=str(test_stored_pairs.write_folder(folder))
  ),
  'tar': lambda folder: pairs.section('tar', folder),
  'tfrecord': lambda folder: pairs.section('tfrecord', folder),
  'csv': lambda folder: pairs.section('csv', folder),
  'tsv': lambda folder: pairs.section('tsv', folder),
  'jsonl': lambda folder: pairs.section('jsonl', folder),
  'sidecar': lambda folder: pairs.section('folder', folder),
  'mixture': lambda folder: pairs.section('mixture', folder),
  'parquet': lambda folder: pairs.section('parquet', folder),
  'snappy': lambda folder: pairs.section('snappy', folder),
}
IN_A_STORE = [
  kind
  for kind in SOURCES
  if kind
  not in (
    *('photos', 'digits', 'shapes', 'collages', 'motorcycle'),
    *('arrays', 'tfds_array_record'),
  )
]


def test_no_source_is_missing_here():
  tables = {'csv', 'tsv', 'jsonl'}
  kinds = SOURCES.keys() - {*tables, 'snappy'} | {'table'}
  assert tables <= SOURCES.keys()
  assert sources.SOURCES.keys() <= kinds


@pytest.fixture(scope='module', autouse=True)
def cache(tmp_path_factory):
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('XDG_CACHE_HOME', str(tmp_path_factory.mktemp('cache')))
    yield


@pytest.fixture(scope='module')
def sections(tmp_path_factory):
  """Folder and section of a kind, written once."""
  made: dict[str, tuple[pathlib.Path, dict]] = {}

  def get(kind):
    if kind not in made:
      folder = tmp_path_factory.mktemp(kind)
      made[kind] = folder, SOURCES[kind](folder)
    return made[kind]

  return get


def _source(kind, sections):
  if kind == 'arrays':
    pixels = np.random.default_rng(0).integers(0, 256, (7, 8, 8, 3), np.uint8)
    return data.Arrays(pixels, np.arange(7))
  return data.make_source(**sections(kind)[1])


def _batches(source, count=STEPS, **options):
  """The first batches as one process has them, with text where there is."""
  encode = make_tokenizer(length=24).encode if source.captions else None
  batches = data.train_batches(
    source,
    batch_size=BATCH,
    seed=5,
    image_size=12,
    encode_text=encode,
    **options,
  )
  taken = [next(batches) for _ in range(count)]
  batches.close()
  return taken


@pytest.mark.parametrize('kind', SOURCES)
def test_hosts_share_the_batch_of_one_and_resume_is_exact(kind, sections):
  source = _source(kind, sections)
  whole = _batches(source)
  for count in (2, 4):
    parts = [
      _batches(source, 2, process_index=i, process_count=count)
      for i in range(count)
    ]
    for step in range(2):
      rows = [part[step] for part in parts]
      assert all(len(part['index']) == BATCH // count for part in rows)
      joined = jax.tree.map(lambda *x: np.concatenate(x), *rows)
      # In this order, and every row in one part: none twice, none left out.
      chex.assert_trees_all_equal(joined, whole[step])
  if kind != 'mixture':  # whose sources have epochs of their own
    first_epoch = np.concatenate([batch['index'] for batch in whole])
    first_epoch = first_epoch[: source.num_examples]
    assert len(set(first_epoch.tolist())) == len(first_epoch)
  resumed = _batches(source, 2, first_step=STEPS - 2)
  chex.assert_trees_all_equal(resumed, whole[-2:])


@pytest.fixture(scope='module')
def store():
  with object_store.running():
    yield


def _elsewhere(section, folder, target):
  """The section with `gs://...` for the folder, wherever it stands."""
  if isinstance(section, dict):
    return {k: _elsewhere(v, folder, target) for k, v in section.items()}
  if isinstance(section, list):
    return [_elsewhere(v, folder, target) for v in section]
  return (
    section.replace(folder, target) if isinstance(section, str) else section
  )


@pytest.mark.parametrize('kind', IN_A_STORE)
def test_a_store_gives_what_the_disk_gives(kind, sections, store):
  folder, section = sections(kind)
  target = object_store.upload(folder, f'bucket/{kind}')
  there = data.make_source(**_elsewhere(section, str(folder), target))
  here = data.make_source(**section)
  assert there.num_examples == here.num_examples
  assert 'gs://' in there.describe(0) or kind == 'tfds_tfrecord'
  chex.assert_trees_all_equal(_batches(there, 3), _batches(here, 3))


def test_array_records_in_a_store_are_refused(sections, store):
  folder, section = sections('tfds_array_record')
  target = object_store.upload(folder, 'bucket/array_record')
  with pytest.raises(UserError, match='prepare the data set as tfrecord'):
    data.make_source(**_elsewhere(section, str(folder), target))


def test_what_is_gone_from_a_store_is_replaced(sections, store):
  folder, _ = sections('folder')
  source = data.make_source(object_store.upload(folder, 'bucket/gone'))
  object_store.remove('bucket/gone/003.png')
  told = []
  batches = data.train_batches(
    source,
    batch_size=source.num_examples,
    seed=0,
    image_size=12,
    on_bad=lambda name, reason: told.append(name),
  )
  index = next(batches)['index'].tolist()
  batches.close()
  assert told == ['gs://bucket/gone/003.png']
  assert 3 not in index


def test_a_table_here_names_pictures_in_a_store(tmp_path, sections, store):
  folder, _ = sections('folder')
  target = object_store.upload(folder, 'bucket/named')
  path = tmp_path / 'pairs.csv'
  lines = [f'{target}/{i:03}.png,a picture' for i in (0, 1, 9999)]
  path.write_text('\n'.join(['image,caption', *lines]))
  source = data.make_source(str(path), remote=True)
  assert source.num_examples == 2
  assert source.fetch(np.arange(2)).content.tolist() == [
    pairs.picture(0),
    pairs.picture(1),
  ]


@pytest.mark.parametrize('kind', ['csv', 'tsv', 'jsonl'])
def test_a_table_does_not_choose_which_hosts_are_contacted(
  kind, tmp_path, monkeypatch
):
  section = pairs.section(kind, tmp_path)
  path = pathlib.Path(section['name'])
  others = [
    'https://elsewhere.example/a.png',
    's3://elsewhere/a.png',
    f'file://{tmp_path}/000.png',
  ]
  with path.open('a') as file:
    for name in others:
      row = f'\n{name},a picture'
      if kind == 'tsv':
        row = row.replace(',', '\t')
      if kind == 'jsonl':
        row = '\n' + json.dumps({'image': name, 'caption': 'a picture'})
      file.write(row)
  asked = []
  monkeypatch.setattr(remote, 'filesystem', asked.append)
  source = data.make_source(**section)
  assert not asked
  assert source.num_examples == pairs.COUNT
  assert source.skipped[table.ELSEWHERE] == len(others)
  assert source.fetch(np.arange(1)).content.tolist() == [
    str(tmp_path / '000.png').encode()
  ]


def test_a_table_in_a_store_does_not_read_this_machine(tmp_path, store):
  pairs.write_pictures(tmp_path, range(2))
  lines = ['image,caption', '000.png,a', f'file://{tmp_path}/001.png,b']
  (tmp_path / 'pairs.csv').write_text('\n'.join(lines))
  target = object_store.upload(tmp_path, 'bucket/no_secrets')
  source = data.make_source(f'{target}/pairs.csv')
  assert source.num_examples == 1
  assert source.skipped[table.ELSEWHERE] == 1


def test_a_table_that_may_contact_stores_has_pictures_of_all(
  tmp_path, sections, store
):
  folder, _ = sections('folder')
  target = object_store.upload(folder, 'bucket/some')
  pairs.write_pictures(tmp_path, range(2))
  names = [f'{target}/002.png', '000.png', f'{target}/003.png', '001.png']
  path = tmp_path / 'pairs.csv'
  path.write_text('\n'.join(['image,caption', *(f'{n},a' for n in names)]))
  source = data.make_source(str(path), remote=True)
  content = source.fetch(np.array([3, 0, 1, 2])).content.tolist()
  assert content == [pairs.picture(number) for number in (1, 2, 0, 3)]
  assert source.fingerprint
  (batch,) = data.eval_batches(
    source, batch_size=4, preprocessing=usual(12, crop_fraction=1.0)
  )
  assert batch['mask'].all()


def test_a_table_with_nothing_but_pictures_elsewhere_says_so(tmp_path):
  path = tmp_path / 'pairs.csv'
  path.write_text('image,caption\nhttps://elsewhere.example/a.png,a')
  with pytest.raises(UserError, match=r'1 left out, pictures .* remote=True'):
    data.make_source(str(path))


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('gs://bucket/nothing', 'neither a folder'),
    ('gs://bucket/nothing.tar', 'no file'),
    ('gs://bucket/nothing.csv', 'cannot be read'),
    ('nowhere://bucket/x', 'unknown scheme'),
  ],
)
def test_what_is_not_in_a_store_is_told(name, message, store):
  with pytest.raises(UserError, match=message) as error:
    data.make_source(name)
  assert '\n' not in str(error.value)
