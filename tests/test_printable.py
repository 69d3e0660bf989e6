"""Names from data, wherever they are shown."""

import logging

import numpy as np
import pytest

from jaxssl import cli, data
from jaxssl.augment.preprocessing import usual
from jaxssl.data import captions
from jaxssl.errors import UserError
from jaxssl.evals.features import Features
from jaxssl.evals.table import format_table
from jaxssl.pictures import canvas, feature_map, grid
from jaxssl.printable import printable
from jaxssl.train.workdir import Workdir
from tests.data import pairs

SHOWN = {
  'a\x1b[2Jb': r'a\x1b[2Jb',
  'a\nb': r'a\nb',
  'a\rb\tc\x07': r'a\rb\tc\x07',
  'a\x9b31mb': r'a\x9b31mb',
  'a\u202egpj.b': r'a\u202egpj.b',
  'a\u2028b': r'a\u2028b',
  'a\udcffb': r'a\udcffb',
  'Größe 猫 👩\u200d🚀 a b': 'Größe 猫 👩\u200d🚀 a b',
  r'C:\new': r'C:\new',
}


@pytest.mark.parametrize('text', SHOWN)
def test_only_what_is_not_printable_is_escaped_and_once(text):
  assert printable(text) == SHOWN[text]
  assert printable(printable(text)) == SHOWN[text]
  printable(text).encode()


@pytest.mark.parametrize('text', SHOWN)
def test_an_error_is_one_printable_line(text):
  message = str(UserError(f'{text} is wrong:\n  and\r\nwhy'))
  assert message == printable(message)
  assert message.endswith('is wrong: and why')


NAME = 'x\x1b]0;title\x07\x9b2J.png'


def _unreadable(folder):
  pairs.write_pictures(folder, range(2))
  (folder / NAME).write_bytes(b'no picture')
  return data.make_source(str(folder))


@pytest.mark.parametrize('place', ['terminal', 'file'])
def test_a_log_shows_the_name_of_a_bad_record_escaped(place, tmp_path, capsys):
  source = _unreadable(tmp_path)
  root = logging.getLogger()
  before = root.handlers[:]
  cli._start_logging()
  handler = Workdir(tmp_path).log_to_file()
  try:
    list(data.eval_batches(source, batch_size=4, preprocessing=usual(8)))
    captions.warn_skipped('a\nb', {'left out': [NAME]})
    logging.getLogger('others').warning('two\nlines \x1b')
  finally:
    root.handlers = before
    handler.close()
  terminal = capsys.readouterr().err
  shown = terminal if place == 'terminal' else _log(tmp_path)
  assert shown.count(printable(NAME)) == 2
  assert r'a\nb' in shown
  assert 'two\nlines \\x1b' in shown
  assert not set(shown) & {'\x1b', '\x07', '\x9b'}


def _log(folder):
  return (folder / 'train.log').read_text()


def test_the_command_line_tells_names_escaped(tmp_path, capsys):
  code = cli.main(['tokenizer', 'train', '--data', NAME, '--out', 'x.json'])
  assert code == 2
  assert '\x1b' not in capsys.readouterr().err


LABELS = {
  '$a_1$': '$a_1$',
  r'\$5$ and $6': r'\$5$ and $6',
  '$\\frac{': '$\\frac{',
  '_hidden': ' _hidden',
  'a\nb\x1b': r'a\nb\x1b',
  'l' * 100: 'l' * 57 + '...',
}


def test_plots_show_class_names_letter_by_letter(tmp_path, monkeypatch):
  figures = []
  monkeypatch.setattr(
    canvas, 'save', lambda figure, path: figures.append(figure)
  )
  count = len(LABELS)
  features = np.random.default_rng(0).normal(size=(4 * count, 3))
  labels = np.arange(4 * count) % count
  feature_map.feature_map(
    Features(features, labels, tuple(LABELS)), tmp_path / 'x', methods=('pca',)
  )
  (figure,) = figures
  figure.draw_without_rendering()  # mathematics would be parsed here
  (legend,) = figure.legends
  shown = [text._preprocess_math(text.get_text()) for text in legend.texts]
  assert shown == [(name, False) for name in LABELS.values()]


@pytest.mark.parametrize('text', [*SHOWN, 'long ' * 1_000_000])
def test_pictures_take_any_caption(text):
  tile = np.zeros((1, 96, 96, 3), np.uint8)
  plain = grid.grid([tile], captions=[['']])
  assert grid.grid([tile], captions=[[text]], titles=[text]).shape == (
    plain.shape[0] + 18,
    *plain.shape[1:],
  )


def test_tables_of_results_show_names_escaped():
  table = format_table({NAME: {'knn': 0.5}}, title='a\nb')
  assert len(table.splitlines()) == 3
  assert printable(NAME) in table
  assert '\x1b' not in table
