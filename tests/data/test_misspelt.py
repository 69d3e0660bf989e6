import pytest

from jaxssl.data.misspelt import misspelt
from jaxssl.data.sources import SOURCES


@pytest.fixture
def here(tmp_path, monkeypatch):
  (tmp_path / 'pictures' / 'inner').mkdir(parents=True)
  (tmp_path / '.pictuers').mkdir()
  (tmp_path / 'pictuers.txt').touch()
  monkeypatch.chdir(tmp_path)
  return tmp_path


@pytest.mark.parametrize(
  ('name', 'hint'),
  [
    ('pictuers', "did you mean 'pictures'?"),
    ('pictuers/', "did you mean 'pictures'?"),
    ('pictures/iner', "did you mean 'pictures/inner'?"),
    ('photoz', "did you mean 'photos'?"),
    ('tarr', 'give a folder that is there, collages, digits, motorcycle, '),
    ('no/such/place', 'give a folder'),
  ],
)
def test_a_folder_is_offered_before_a_form(here, name, hint):
  message = str(misspelt(name, SOURCES))
  assert hint in message
  assert name.rstrip('/') in message
  assert '\n' not in message


def test_absolute_paths(here):
  message = str(misspelt(f'{here}/picturess', SOURCES))
  assert f"did you mean '{here}/pictures'?" in message
