from jaxssl.methods import METHODS
from tests.commands import runs


def test_every_method_with_what_it_is_and_its_config(monkeypatch, capsys):
  monkeypatch.setenv('COLUMNS', '200')
  assert runs.jaxssl('methods') == 0
  lines = capsys.readouterr().out.splitlines()
  for name, row in METHODS.items():
    (line,) = [line for line in lines if line.split()[1:2] == [name]]
    _, _, meaning, config, _ = [part.strip() for part in line.split('│')]
    assert len(meaning) > 10
    assert meaning[-1] == '.'
    assert 'partial' not in meaning
    assert config == row.config


def test_overrides_are_refused(capsys):
  assert runs.jaxssl('methods', '--config.seed=1') == 2
  assert 'methods takes no' in capsys.readouterr().err
