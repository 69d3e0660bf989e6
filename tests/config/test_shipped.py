import pathlib

import pytest

from jaxssl import config as config_lib
from jaxssl.config import schema, shipped
from jaxssl.errors import UserError
from jaxssl.methods import METHODS

CONFIGS = pathlib.Path(__file__).resolve().parents[2] / 'configs'


def test_every_file_of_the_folder_has_a_name_and_a_summary():
  configs = shipped.configs()
  assert list(configs) == sorted(path.stem for path in CONFIGS.glob('*.py'))
  assert all(len(shipped.summary(path)) > 20 for path in configs.values())
  assert {entry.config for entry in METHODS.values()} <= configs.keys()


def test_name_means_the_file():
  by_name = config_lib.load_file('quickstart')
  assert by_name == config_lib.load_file(CONFIGS / 'quickstart.py')
  assert schema.complete(by_name)['method']['name'] == 'simclr'


def test_file_of_that_name_wins(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  pathlib.Path('quickstart').write_text('def get_config(): return {}')
  assert config_lib.load_file('quickstart') == {}


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('quickstarts', "did you mean 'quickstart'"),
    ('no/quickstart.py', "does not exist; give the name 'quickstart'"),
    ('quickstart.py', "does not exist; give the name 'quickstart'"),
    ('no/mine.py', r"'no/mine.py' does not exist$"),
    ('runs/mine', "'runs/mine' is a folder; give a file"),
  ],
)
def test_neither(name, message, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  pathlib.Path('runs/mine').mkdir(parents=True)
  with pytest.raises(UserError, match=message):
    shipped.find(name)


def test_a_folder_of_that_name_does_not_win(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  pathlib.Path('quickstart').mkdir()
  assert shipped.find('quickstart').is_file()
