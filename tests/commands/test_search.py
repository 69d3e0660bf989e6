import json

from tests.commands import runs


def test_a_run_without_texts_is_told_before_its_data(tmp_path, capsys):
  config = {'method': {'name': 'simclr'}, 'data': {'name': 'nothing'}}
  (tmp_path / 'config.json').write_text(json.dumps(config))
  assert runs.jaxssl('search', 'a cup', f'--workdir={tmp_path}') == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert "a run of 'simclr', which knows no text" in line


def test_no_picture_is_told(tmp_path, capsys, monkeypatch):
  monkeypatch.setattr('jaxssl.commands.search.towers.read_config', lambda w: {})
  monkeypatch.setattr('jaxssl.commands.search.towers.load', lambda w, step: {})
  monkeypatch.setattr('jaxssl.commands.search.search', lambda *a, **k: [])
  config = {'data': {'name': 'digits'}, 'eval': {'data': None, 'split': 'test'}}
  (tmp_path / 'config.json').write_text(json.dumps(config))
  command = ('search', 'a cup', f'--workdir={tmp_path}', '--data=digits')
  assert runs.jaxssl(*command) == 2
  assert 'there is no picture to look at' in capsys.readouterr().err
