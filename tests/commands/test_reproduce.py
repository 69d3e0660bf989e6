"""`jaxssl reproduce`: the number of a result, from the result alone."""

import json
import shutil

import pytest

from tests.commands import runs


@pytest.fixture(scope='module')
def result(finished_run, tmp_path_factory):
  """A result of a run whose folder is gone."""
  folder = tmp_path_factory.mktemp('evaluated')
  run = folder / 'run'
  shutil.copytree(finished_run, run)
  arguments = ('--limit=64', '--ks', '3')
  assert runs.jaxssl('eval', 'knn', f'--workdir={run}', *arguments) == 0
  kept = folder / 'result.json'
  shutil.copy(run / 'results' / 'knn-v1-digits.json', kept)
  return kept


def _changed(result, path, change):
  found = json.loads(result.read_text())
  change(found)
  path.write_text(json.dumps(found))
  return path


def test_trained_again_from_the_file_alone(result, tmp_path, capsys):
  again = tmp_path / 'again'
  assert runs.jaxssl('reproduce', result, f'--workdir={again}') == 0
  lines = capsys.readouterr().out.splitlines()
  assert lines[-1] == 'reproduced'
  rows = {line.split('  ')[0]: line for line in lines}
  for name in ('weights', 'training_data', 'data, train', 'code', 'top1'):
    assert rows[name].endswith('the same')
  assert (again / 'checkpoints' / '4').exists()
  # With the run at hand it is not trained again; another number is told.
  log = (again / 'train.log').read_text()
  other = _changed(
    result, tmp_path / 'other.json', lambda r: r['metrics'].update(top1=2.0)
  )
  assert runs.jaxssl('reproduce', other, f'--workdir={again}') == 1
  assert capsys.readouterr().out.endswith('not reproduced: top1\n')
  assert (again / 'train.log').read_text() == log
  arguments = (f'--workdir={again}', '--tolerance=2')
  assert runs.jaxssl('reproduce', other, *arguments) == 0


def test_what_differs_is_said(result, finished_run, tmp_path, capsys):
  def elsewhere(found):
    found['recipe'].update(code='jaxssl 0.0.1', weights='00000000')
    found['recipe']['config']['input']['prefetch'] = 7
    found['versions']['numpy'] = '1.0'

  other = _changed(result, tmp_path / 'other.json', elsewhere)
  run = tmp_path / 'run'
  shutil.copytree(finished_run, run)
  assert runs.jaxssl('reproduce', other, f'--workdir={run}') == 0
  out = capsys.readouterr().out
  rows = {line.split('  ')[0]: line for line in out.splitlines()}
  for name in ('code', 'weights', 'numpy'):
    assert 'the same' not in rows[name]
  assert 'config: input.prefetch: 7 -> ' in out
  assert not (run / 'results').exists()


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (lambda r: r.pop('metrics'), 'is not a result'),
    (lambda r: r.update(metrics=3), 'is not a result'),
    (lambda r: r.pop('recipe'), 'does not say how it came about'),
    (lambda r: r['recipe'].pop('choice'), 'not one of this version'),
    (lambda r: r['recipe']['choice'].update(x=1), 'not one of this version'),
    (lambda r: r.update(protocol='knn-v0'), "did you mean 'knn-v1'"),
    (lambda r: r['settings'].update(kk=3), "unknown setting of knn-v1 'kk'"),
    (lambda r: r['recipe'].update(config=None), 'imported weights'),
    (lambda r: r['recipe']['config'].update(seed=1), 'holds another run'),
  ],
)
def test_files_that_are_none(
  change, message, result, finished_run, tmp_path, capsys
):
  other = _changed(result, tmp_path / 'other.json', change)
  run = tmp_path / 'run'
  (run / 'export').parent.mkdir()
  if 'imported' not in message:
    shutil.copytree(finished_run, run, dirs_exist_ok=True)
  assert runs.jaxssl('reproduce', other, f'--workdir={run}') == 2
  assert message in capsys.readouterr().err


def test_run_that_became_longer(finished_run, tmp_path, capsys):
  run = tmp_path / 'run'
  shutil.copytree(finished_run, run)
  shutil.copy(run / 'config.json', run / 'config.until-2.json')
  assert runs.jaxssl('eval', 'knn', f'--workdir={run}', '--limit=64') == 0
  result = run / 'results' / 'knn-v1-digits.json'
  assert runs.jaxssl('reproduce', result, f'--workdir={run}') == 0
  other = tmp_path / 'other'
  assert runs.jaxssl('reproduce', result, f'--workdir={other}') == 2
  assert 'became longer after step 2' in capsys.readouterr().err
  assert not other.exists()


def test_data_elsewhere_is_said_where_it_belongs(result, tmp_path, capsys):
  arguments = (f'--workdir={tmp_path / "w"}', '--data=digits')
  assert runs.jaxssl('reproduce', result, *arguments) == 2
  assert '--config.data.path' in capsys.readouterr().err
  assert not (tmp_path / 'w').exists()


def test_imported_weights_are_evaluated_again(finished_run, tmp_path, capsys):
  timm, run = tmp_path / 'timm', tmp_path / 'run'
  encoder = [a for a in runs.MODEL if 'encoder' in a]
  assert (
    runs.jaxssl('export', 'timm', f'--workdir={finished_run}', f'--out={timm}')
    == 0
  )
  assert runs.jaxssl('import', 'timm', timm, f'--workdir={run}', *encoder) == 0
  arguments = (f'--workdir={run}', '--data=digits', '--limit=64')
  assert runs.jaxssl('eval', 'knn', *arguments) == 0
  result = run / 'results' / 'knn-v1-digits.json'
  assert runs.jaxssl('reproduce', result, f'--workdir={run}') == 0
  assert capsys.readouterr().out.endswith('reproduced\n')
  other = f'--workdir={tmp_path / "other"}'
  assert runs.jaxssl('reproduce', result, other) == 2
  assert 'imported weights' in capsys.readouterr().err
