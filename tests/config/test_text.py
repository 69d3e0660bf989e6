from ml_collections import ConfigDict
import pytest

from jaxssl import config as config_lib
from jaxssl.errors import UserError

CONFIG = {
  'seed': 0,
  'train': {
    'steps': 10,
    'epochs': 2.0,
    'tensorboard': True,
    'keep_every': None,
  },
  'optim': {
    'name': 'sgd',
    'learning_rate': {'name': 'cosine', 'start': 0.1},
    'rules': ({'match': 'bias'},),
  },
  'augment': {'scale': (0.2, 1.0)},
  'head': {},
}


class TestFile:
  def _load(self, tmp_path, text):
    path = tmp_path / 'config.py'
    path.write_text(text)
    return config_lib.load_file(path)

  def test_config_dict_becomes_plain(self, tmp_path):
    text = (
      'from ml_collections import ConfigDict\n'
      'def get_config():\n'
      "  return ConfigDict({'a': {'b': [1, (2, 3)]}})\n"
    )
    assert self._load(tmp_path, text) == {'a': {'b': (1, (2, 3))}}

  def test_missing(self, tmp_path):
    with pytest.raises(UserError, match='does not exist'):
      config_lib.load_file(tmp_path / 'config.py')

  @pytest.mark.parametrize(
    ('text', 'message'),
    [
      ('def get_config(:', 'SyntaxError'),
      ('def get_config(): return 1 / 0', 'ZeroDivisionError: division by zero'),
      ('x = 1', 'must define get_config'),
      ('def get_config(): pass', 'must define get_config'),
    ],
  )
  def test_wrong(self, tmp_path, text, message):
    with pytest.raises(UserError, match=message):
      self._load(tmp_path, text)

  @pytest.mark.parametrize(
    ('text', 'path', 'seed'),
    [
      ("def get_config(name): return {'seed': name}", 'config.py:a', 'a'),
      ("def get_config(name='b'): return {'seed': name}", 'config.py', 'b'),
      ("def get_config(name='b'): return {'seed': name}", 'config.py:a', 'a'),
    ],
  )
  def test_argument(self, text, path, seed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'config.py').write_text(text)
    assert config_lib.load_file(path) == {'seed': seed}

  @pytest.mark.parametrize(
    ('text', 'path', 'message'),
    [
      ('def get_config(): return {}', ':a', "nothing behind a colon, got 'a'"),
      ('def get_config(x): return {}', '', "as in 'config.py:ARGUMENT'$"),
      (
        "ARGUMENTS = 'a', 'b'\ndef get_config(x): return {}",
        '',
        "needs one word more, as in 'config.py:a'; it has a, b$",
      ),
      (
        "ARGUMENTS = 'a', 'b'\ndef get_config(x): return {}",
        ':c',
        "'config.py' has no 'c'; it has a, b$",
      ),
      ('def get_config(x): return {}[x]', ':a', "fails: KeyError: 'a'"),
    ],
  )
  def test_wrong_argument(self, text, path, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'config.py').write_text(text)
    with pytest.raises(UserError, match=message):
      config_lib.load_file(f'config.py{path}')

  def test_a_name_with_a_colon_is_a_file(self, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a:b').write_text("def get_config(): return {'seed': 1}")
    assert config_lib.load_file('a:b') == {'seed': 1}


class TestParse:
  @pytest.mark.parametrize(
    ('text', 'value'),
    [
      ('100', 100),
      ('1e-3', 1e-3),
      ('True', True),
      ('false', False),
      ('None', None),
      ('none', None),
      ('vit_s16', 'vit_s16'),
      ('/data/my pictures', '/data/my pictures'),
      ('(0.2,1.0)', (0.2, 1.0)),
      ('[1, [2]]', (1, (2,))),
      ("'8'", '8'),
      ('a=b', 'a=b'),
      ('', ''),
    ],
  )
  def test_value(self, text, value):
    parsed = config_lib.parse_overrides([f'--config.a.b={text}'])
    assert parsed == {'a.b': value}
    assert type(parsed['a.b']) is type(value)

  @pytest.mark.parametrize('argument', ['--config.a', 'a=1', '--confg.a=1'])
  def test_wrong_form(self, argument):
    with pytest.raises(UserError, match='overrides look like --config'):
      config_lib.parse_overrides([argument])


def test_flatten_and_back():
  flat = config_lib.flatten(CONFIG)
  assert flat['optim.learning_rate.start'] == 0.1
  assert flat['head'] == {}
  assert config_lib.unflatten(flat) == CONFIG


def test_json_round_trip_keeps_tuples_and_order():
  back = config_lib.from_json(config_lib.to_json(CONFIG))
  assert back == CONFIG
  assert list(back) == list(CONFIG)


def test_hash_is_of_the_values_not_of_their_order():
  turned = dict(reversed(CONFIG.items()))
  assert config_lib.config_hash(turned) == config_lib.config_hash(CONFIG)
  changed = config_lib.config_hash({**CONFIG, 'seed': 1})
  assert changed != config_lib.config_hash(CONFIG)
  assert len(changed) == 8


def test_differences_name_keys_that_came_or_went():
  assert config_lib.differences({'a': {'b': 1}}, {'c': 2}) == [
    'a.b: 1 -> None',
    'c: None -> 2',
  ]


def test_to_plain_of_a_config_dict_with_a_reference():
  config = ConfigDict({'a': 1})
  config.b = config.get_ref('a')
  assert config_lib.to_plain(config) == {'a': 1, 'b': 1}
