"""`jaxssl embed`: one row per picture, in the order of the names."""

import json

import numpy as np
from PIL import Image
import pytest

from jaxssl.evals.features import encode_fn
from jaxssl.weights.exported import load_encoder
from tests.commands import runs


def _embed(run, out, *more):
  assert runs.jaxssl('embed', f'--workdir={run}', f'--out={out}', *more) == 0
  return np.load(out)


def test_rows_names_and_labels(finished_run, tmp_path):
  found = _embed(finished_run, tmp_path / 'a.npz', '--limit=40')
  assert found['features'].shape == (40, 16)
  assert found['features'].dtype == np.float32
  assert found['labels'].shape == found['names'].shape == (40,)
  assert len(set(found['names'])) == 40
  assert list(found['class_names']) == [str(digit) for digit in range(10)]


def test_on_a_full_disk_no_half_file_stays(
  finished_run, tmp_path, monkeypatch, capsys
):
  out = tmp_path / 'a.npz'

  def full(file, **arrays):
    file.write(b'half')
    raise OSError(28, 'No space left on device')

  with monkeypatch.context() as patched:
    patched.setattr(np, 'savez', full)
    command = ('embed', f'--workdir={finished_run}', f'--out={out}')
    assert runs.jaxssl(*command, '--limit=40') == 2
  assert 'No space left' in capsys.readouterr().err
  assert not list(tmp_path.iterdir())
  _embed(finished_run, out, '--limit=40')


@pytest.fixture
def unlabelled(tmp_path):
  """Pictures of several formats, each of one colour; one is broken."""
  folder = tmp_path / 'pictures'
  (folder / 'a' / 'b').mkdir(parents=True)
  Image.new('RGB', (40, 40), (250, 0, 0)).save(folder / 'a' / 'b' / 'red.png')
  Image.new('RGB', (40, 40), (0, 250, 0)).save(folder / 'a' / 'green.bmp')
  Image.new('L', (40, 40), 128).save(folder / 'a' / 'gray.png')
  Image.new('RGBA', (40, 40), (0, 0, 250, 255)).save(
    folder / 'a' / 'x.webp', lossless=True
  )
  (folder / 'a' / 'broken.jpg').write_bytes(b'no picture')
  return folder


def test_folder_of_mixed_formats(finished_run, unlabelled, tmp_path):
  out = tmp_path / 'new' / 'a.npz'
  found = _embed(finished_run, out, f'--data={unlabelled}')
  names = [name.split('pictures/')[1] for name in found['names']]
  assert names == ['a/b/red.png', 'a/gray.png', 'a/green.bmp', 'a/x.webp']


def test_features_are_those_of_the_encoder(finished_run, unlabelled, tmp_path):
  found = _embed(finished_run, tmp_path / 'a.npz', f'--data={unlabelled}')
  exported = load_encoder(finished_run / 'export')
  encode = encode_fn(exported.encoder, exported.variables, exported.normalize)
  colors = [(250, 0, 0), (128, 128, 128), (0, 250, 0), (0, 0, 250)]
  images = np.broadcast_to(
    np.array(colors, np.uint8)[:, None, None], (4, 32, 32, 3)
  )
  np.testing.assert_allclose(
    found['features'], encode(images), rtol=1e-5, atol=1e-5
  )


def test_layer(finished_run, tmp_path):
  found = _embed(
    finished_run, tmp_path / 'a.npz', '--limit=8', '--layer=patch_embed'
  )
  assert found['features'].shape == (8, 16)


def test_older_checkpoint(finished_run, tmp_path):
  new = _embed(finished_run, tmp_path / 'a.npz', '--limit=8')
  old = _embed(finished_run, tmp_path / 'b.npz', '--limit=8', '--step=2')
  assert not np.array_equal(new['features'], old['features'])


def _shards(folder):
  return [np.load(path) for path in sorted(folder.glob('patches-*.npz'))]


def test_patches_in_files_of_a_few_pictures(finished_run, unlabelled, tmp_path):
  out, whole = tmp_path / 'patches', tmp_path / 'half'
  data = f'--data={unlabelled}'
  command = ('embed', f'--workdir={finished_run}', data, '--dense')
  assert runs.jaxssl(*command, f'--out={out}', '--shard_rows=3') == 0
  shards = _shards(out)
  assert [len(shard['index']) for shard in shards] == [3, 1]
  info = json.loads((out / 'info.json').read_text())
  assert info['pictures'] == 4
  assert info['files'] == 2
  # 32 pixels in patches of 8, of width 16.
  assert info['shape'] == [4, 4, 16]
  features = np.concatenate([shard['features'] for shard in shards])
  names = np.concatenate([shard['names'] for shard in shards])
  assert features.dtype == np.float32
  assert names[0].endswith('red.png')
  # Their mean is the layer of the same name.
  mean = _embed(finished_run, tmp_path / 'a.npz', data, '--layer=patches')
  np.testing.assert_allclose(
    features.mean((1, 2)), mean['features'], rtol=1e-5, atol=1e-6
  )
  assert list(names) == list(mean['names'])
  assert runs.jaxssl(*command, f'--out={whole}', '--dtype=float16') == 0
  (half,) = _shards(whole)
  assert half['features'].dtype == np.float16
  np.testing.assert_allclose(half['features'], features, rtol=1e-3, atol=1e-4)


def test_of_patches_all_or_nothing_is_written(
  finished_run, tmp_path, monkeypatch, capsys
):
  out = tmp_path / 'patches'
  command = ('embed', f'--workdir={finished_run}', '--dense', f'--out={out}')
  with monkeypatch.context() as patched:
    written = []

    def full(file, **arrays):
      written.append(arrays)
      if len(written) == 2:
        raise OSError(28, 'No space left on device')
      file.write(b'whole')

    patched.setattr(np, 'savez', full)
    assert runs.jaxssl(*command, '--limit=6', '--shard_rows=2') == 2
  assert 'No space left' in capsys.readouterr().err
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (('--dense', '--shard_rows=0'), '--shard_rows is 0'),
    (('--dense', '--layer=cls'), 'none for its places'),
    (('--dtype=float16',), '--dtype is for --dense'),
  ],
)
def test_what_does_not_go_together_is_told(
  arguments, message, finished_run, tmp_path, capsys
):
  out = tmp_path / ('new' if '--dense' in arguments else 'new.npz')
  command = ('embed', f'--workdir={finished_run}', f'--out={out}', '--limit=2')
  assert runs.jaxssl(*command, *arguments) == 2
  assert message in capsys.readouterr().err
  assert not list(tmp_path.iterdir())
