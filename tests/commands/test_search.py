import json

from tests.commands import runs


def test_a_run_without_texts_is_told_before_its_data(tmp_path, capsys):
  config = {'method': {'name': 'simclr'}, 'data': {'name': 'nothing'}}
  (tmp_path / 'config.json').write_text(json.dumps(config))
  assert runs.jaxssl('search', 'a cup', f'--workdir={tmp_path}') == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert "a run of 'simclr', which knows no text" in line
