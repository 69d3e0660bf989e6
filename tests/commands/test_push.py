"""`jaxssl push`, against a stand-in of the hub on this machine."""

import json
import shutil
from unittest import mock

import chex
import pytest

from jaxssl import api
from jaxssl.runs.results import read_results
from jaxssl.weights import timm_model
from jaxssl.weights.exported import load_encoder
from tests.commands import hub_stand_in, runs

ID = 'owner/name'


@pytest.fixture
def hub(monkeypatch, tmp_path):
  constants = pytest.importorskip('huggingface_hub.constants')
  with hub_stand_in.running() as hub:
    monkeypatch.setattr(constants, 'ENDPOINT', hub.address)
    template = hub.address + '/{repo_id}/resolve/{revision}/{filename}'
    monkeypatch.setattr(constants, 'HUGGINGFACE_CO_URL_TEMPLATE', template)
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', False)
    monkeypatch.setenv('HF_TOKEN', hub_stand_in.TOKEN)
    yield hub


def _push(run, *more, licence='apache-2.0'):
  stated = (f'--licence={licence}',) if licence else ()
  return runs.jaxssl('push', ID, f'--workdir={run}', *stated, *more)


def test_what_is_pushed_is_loaded_by_its_id(finished_run, hub):
  assert _push(finished_run, '--private') == 0
  files = hub.repositories[ID]
  assert set(files) >= {'README.md', 'encoder.json', 'encoder.safetensors'}
  assert hub.private == {ID: True}
  assert len(hub.commits) == 1  # a repository is never half there
  loaded = api.load(ID)
  expected = load_encoder(finished_run / 'export')
  chex.assert_trees_all_equal(loaded.variables, expected.variables)


def test_the_card_says_what_the_run_was(finished_run, tmp_path):
  huggingface_hub = pytest.importorskip('huggingface_hub')
  run, out = tmp_path / 'run', tmp_path / 'out'
  shutil.copytree(finished_run, run)
  command = ('eval', 'knn', f'--workdir={run}', '--limit=64', '--no_baselines')
  assert runs.jaxssl(*command) == 0
  assert _push(run, f'--out={out}') == 0
  text = (out / 'README.md').read_text()
  told = huggingface_hub.ModelCard(text).data
  assert (told.license, told.library_name) == ('apache-2.0', 'jaxssl')
  results = read_results(run)
  for result in results.values():
    value = next(iter(result['metrics'].values()))
    assert f'{result["protocol"]}' in text
    assert value in [found.metric_value for found in told.eval_results]
    assert result['recipe']['training_data'] in text
  exported = load_encoder(finished_run / 'export')
  for part in (f"jaxssl.load('{ID}')", 'simclr', exported.config_hash):
    assert part in text
  assert str(tmp_path) not in text


def test_an_existing_repository_wants_update(finished_run, hub, capsys):
  assert _push(finished_run, '--format=timm') == 0
  assert _push(finished_run, '--format=timm') == 2
  assert '--update adds a commit' in capsys.readouterr().err
  assert _push(finished_run, '--format=timm', '--update') == 0
  assert len(hub.commits) == 2
  config = json.loads(hub.repositories[ID]['config.json'])
  assert config['num_classes'] == 0
  card = hub.repositories[ID]['README.md'].decode()
  assert f"timm.create_model('hf-hub:{ID}', pretrained=True)" in card


def test_what_cannot_be_pushed_is_told_in_a_line(
  finished_run, hub, monkeypatch, capsys
):
  def refused(*arguments, **options):
    assert _push(finished_run, *arguments, **options) == 2
    return capsys.readouterr().err

  assert 'states the licence' in refused(licence=None)
  assert 'is no licence' in refused(licence='My Licence')
  assert 'safetensors' in refused('--format=pickle')
  assert 'give owner/name' in _refused_name(finished_run, capsys)
  monkeypatch.setenv('HF_TOKEN', 'hf_of_nobody')
  assert 'refuses the token' in refused()
  monkeypatch.delenv('HF_TOKEN')
  monkeypatch.setattr('huggingface_hub.get_token', lambda: None)
  assert 'hf auth login' in refused()
  assert not hub.repositories


def _refused_name(run, capsys):
  command = ('push', 'name', f'--workdir={run}', '--licence=mit')
  assert runs.jaxssl(*command) == 2
  return capsys.readouterr().err


def test_a_card_of_an_export_does_not_say_imported(finished_run, tmp_path):
  out = tmp_path / 'out'
  assert _push(finished_run / 'export', f'--out={out}') == 0
  text = (out / 'README.md').read_text()
  assert 'imported' not in text
  assert 'steps of training' in text


def test_timm_is_not_named_where_it_has_no_model(
  finished_run, tmp_path, capsys
):
  with mock.patch.object(timm_model, 'architecture', return_value={}):
    out = tmp_path / 'out'
    assert _push(finished_run, '--format=timm', f'--out={out}') == 2
  assert 'timm has no model' in capsys.readouterr().err
  assert not out.exists()
