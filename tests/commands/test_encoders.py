from jaxssl.models.variants import encoder_names, text_encoder_names
from tests.commands import runs


def test_every_name_once(monkeypatch, capsys):
  monkeypatch.setenv('COLUMNS', '80')
  assert runs.jaxssl('encoders') == 0
  words = capsys.readouterr().out.replace('│', ' ').split()
  for name in (*encoder_names(), *text_encoder_names()):
    assert words.count(name) == 1


def test_overrides_are_refused(capsys):
  assert runs.jaxssl('encoders', '--config.seed=1') == 2
  assert 'encoders takes no' in capsys.readouterr().err
