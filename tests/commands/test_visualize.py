"""`jaxssl visualize`: pictures of what a run has learned, on one page."""

import shutil

from PIL import Image
import pytest

from tests.commands import runs

SMALL = ('--num_images=3', '--limit=40')


def _page(folder):
  return (folder / 'index.html').read_text(encoding='utf-8')


@pytest.fixture
def copy(finished_run, tmp_path):
  shutil.copytree(finished_run, tmp_path / 'run')
  return tmp_path / 'run'


ENCODER = ('attention', 'patches', 'patch_neighbours', 'neighbours')


def test_pictures_of_an_encoder_and_the_page(copy):
  assert runs.jaxssl('visualize', f'--workdir={copy}', *SMALL) == 0
  pictures = copy / 'pictures'
  names = {path.name for path in pictures.iterdir()}
  wanted = {f'{name}.png' for name in (*ENCODER, 'curve')}
  assert names == {*wanted, 'index.html'}
  for name in wanted:
    with Image.open(pictures / name) as picture:
      assert min(picture.size) > 100
  text = _page(pictures)
  assert text.count('<img') == 5
  assert 'simclr with vit_ti8' in text
  assert '4 of 4' in text
  assert '&quot;simclr&quot;' in text  # in the config


def test_exported_encoder_alone(copy, tmp_path):
  shutil.rmtree(copy / 'checkpoints')
  (copy / 'config.json').unlink()
  (copy / 'metrics.jsonl').unlink()
  out = tmp_path / 'out'
  arguments = (f'--workdir={copy}', '--data=shapes', f'--out={out}', *SMALL)
  assert runs.jaxssl('visualize', *arguments) == 0
  assert {path.name for path in out.iterdir()} == {
    *(f'{name}.png' for name in (*ENCODER, 'segmentation')),
    'index.html',
  }
  assert not (copy / 'pictures').exists()


def test_a_page_that_cannot_be_finished_leaves_no_pictures(
  finished_run, tmp_path, monkeypatch, capsys
):
  def full(*args):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr('jaxssl.commands.visualize.training_curve', full)
  out = tmp_path / 'out'
  arguments = (f'--workdir={finished_run}', f'--out={out}', *SMALL)
  assert runs.jaxssl('visualize', *arguments) == 2
  assert 'No space left' in capsys.readouterr().err
  assert not list(tmp_path.iterdir())


def test_picture_of_the_method(tmp_path):
  run = tmp_path / 'run'
  arguments = (
    '--method=rotation',
    *(a for a in runs.MODEL if a.startswith(('--encoder', '--config.encoder'))),
    *runs.DIGITS,
    *runs.LENGTH,
    '--config.encoder.pool=avg',
    '--config.encoder.class_token=false',
  )
  assert runs.jaxssl('train', f'--workdir={run}', *arguments) == 0
  pictures = tmp_path / 'out'
  arguments = (f'--workdir={run}', f'--out={pictures}', *SMALL, '--step=2')
  assert runs.jaxssl('visualize', *arguments) == 0
  assert (pictures / 'puzzle.png').exists()
  text = _page(pictures)
  assert 'By how much is it turned?' in text
  assert '2 of 4' in text
  assert text.count('<img') == 5  # no class token, so no attention


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (('--num_images=0',), 'it must be from 1 to 64'),
    (('--num_images=65',), 'it must be from 1 to 64'),
    (('--split=valid',), 'valid'),
    (('--step=3',), 'no checkpoint of step 3'),
    (('--out=.',), 'not an empty folder'),
    (('--config.seed=1',), 'takes --config.data.KEY'),
  ],
)
def test_mistakes_are_told_in_one_line(
  finished_run, tmp_path, monkeypatch, capsys, arguments, message
):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'something').write_text('')
  before = runs.files(finished_run)
  assert runs.jaxssl('visualize', f'--workdir={finished_run}', *arguments) == 2
  error = capsys.readouterr().err
  assert message in error
  assert error.count('\n') == 1
  assert runs.files(finished_run) == before


def test_workdir_without_a_run(tmp_path, capsys):
  assert runs.jaxssl('visualize', f'--workdir={tmp_path}') == 2
  assert 'no encoder in' in capsys.readouterr().err
