"""Every code block of the pages runs as it stands there, or says why not.

A block is Python or commands (`sh`), and is run, in the order of its page, but
for its length. One that cannot be run has `<!-- not run: REASON -->` before it;
the arguments of its commands are still checked. Output and synopses are `text`.
"""

import json
import pathlib
import re
import shlex
import types
from typing import NamedTuple

import numpy as np
from PIL import Image
import pytest

from jaxssl import cli
from jaxssl.config import shipped
from tests.commands import runs

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCS = ROOT / 'docs'
PAGES = {
  str(path.relative_to(ROOT)): path
  for path in (ROOT / 'README.md', *sorted(DOCS.rglob('*.md')))
}
FENCE = re.compile(
  r'(?:<!-- not run: (?P<reason>.+?) -->\n)?'
  r'^```(?P<language>\S*)(?P<more>[^\n]*)\n(?P<text>.*?)^```$',
  re.DOTALL | re.MULTILINE,
)
SHORTER = {
  "'num_steps': 100": "'num_steps': 1",
  "'batch_size': 128": "'batch_size': 16",
  "'photos', split=s": "'photos', split=s, crops_per_picture=4",
}
# Of the page about channels, whose pictures are written one by one.
FEWER = {'in range(600)': 'in range(60)'}
# Of the notebooks.
SHORTER_CELLS = {
  "train.steps=20'": "train.steps=2'",
  "batch_size=32'": "batch_size=8'",
  "warmup_steps=2'": "warmup_steps=1'",
  "'256'": "'32'",
  'num_steps=40': 'num_steps=2',
  'batch_size=64': 'batch_size=16',
  'crops_per_picture=32': 'crops_per_picture=12',
  'crops_per_picture=16': 'crops_per_picture=4',
}
# A run of the pages, of two steps.
SHORT = (
  '--config.train.steps=2',
  '--config.train.batch_size=8',
  '--config.train.num_devices=1',
  '--config.train.log_steps=1',
  '--config.train.tensorboard=false',
  '--config.optim.learning_rate.warmup_steps=0',
  '--config.eval.steps=0',
)
SMALL = {
  '--data FOLDER': ('--config.encoder.width=0.0625',),
  'quickstart': ('--config.encoder.width=0.0625',),
  'vit_s16': (
    '--config.encoder.dim=16',
    '--config.encoder.depth=1',
    '--config.encoder.num_heads=2',
  ),
  'clip_photos': ('--config.encoder.width=0.0625',),
}


class Block(NamedTuple):
  page: str
  language: str
  more: str
  text: str
  reason: str | None


def _blocks(page):
  text = PAGES[page].read_text(encoding='utf-8')
  found = [
    Block(page, m['language'], m['more'], m['text'], m['reason'])
    for m in FENCE.finditer(text)
  ]
  assert 2 * len(found) == len(re.findall(r'^```', text, re.MULTILINE))
  return found


def _run_blocks(language, page=None):
  """Blocks that are to be run; files of a page have a title."""
  return [
    block
    for name in ([page] if page else PAGES)
    for block in _blocks(name)
    if (block.language, block.more, block.reason) == (language, '', None)
  ]


def _pages(language):
  return sorted({block.page for block in _run_blocks(language)})


def _is_long(page):
  return page.startswith('docs/notebooks/')


def _commands(text):
  """The lines of a block, without comments, as words."""
  lines = text.replace('\\\n', ' ').splitlines()
  return [
    words for line in lines if (words := shlex.split(line, comments=True))
  ]


@pytest.mark.parametrize('page', PAGES)
def test_every_block_is_of_a_kind(page):
  for block in _blocks(page):
    assert block.language in ('python', 'sh', 'text'), block
    if block.language == 'text':  # nothing that could be run
      assert block.reason is None
    if block.more:  # test_add_a_method.py
      assert page == 'docs/add_a_method.md'
      assert block.more.startswith(' title="')


@pytest.mark.parametrize('page', PAGES)
def test_arguments_of_every_command(page, monkeypatch):
  monkeypatch.chdir(ROOT)
  for block in _blocks(page):
    if block.language != 'sh':
      continue
    for words in _commands(block.text):
      if words[0].startswith('./'):
        assert (ROOT / words[0]).is_file(), words
      if words[0] == 'jaxssl' and not {'...', '--version'} & {*words}:
        _check_arguments(words[1:])


def _check_arguments(words):
  """Fails where the command line would; nothing is run."""
  parser, parsers = cli.parsers()
  command = cli.importlib.import_module(
    f'jaxssl.commands.{cli._MODULES.get(words[0], words[0])}'
  )
  command.add_arguments(parsers[words[0]])
  words = words[: words.index('>')] if '>' in words else words
  given = [word for word in words if not word.startswith('--config.')]
  arguments, rest = parser.parse_known_args(given)
  assert not rest, words
  config = getattr(arguments, 'config', None)
  assert config is None or shipped.find(shipped.split(config)[0]).is_file()


def _evaluation_names():
  """What the reader of the page about evaluation has at hand."""
  import jax

  from jaxssl import models
  from jaxssl.augment import recipes

  encoder = models.make_encoder('resnet18', stem='cifar', width=0.0625)
  images = np.zeros((8, 32, 32, 3), np.uint8)
  images[4:] = 255
  variables = encoder.init(
    jax.random.key(0), np.zeros((1, 32, 32, 3), np.float32), train=False
  )
  batch = {'image': images, 'label': np.arange(8) // 4, 'index': np.arange(8)}
  return {
    'encoder': encoder,
    'variables': variables,
    'augment': recipes.simclr_cifar(),
    'train_batches': [batch] * 30,
    'test_batches': [batch],
    'names': ('black', 'white'),
  }


def _shorter(code, changes):
  for ours, shorter in changes.items():
    code = code.replace(ours, shorter)
  return code


def _augmentation_names():
  images = np.zeros((2, 96, 96, 3), np.uint8)
  return {'images': images, 'test_images': images}


def _features_names():
  np.savez('features.npz', features=np.zeros((2, 3)), names=np.array(['a']))
  return {}


NAMES = {
  'docs/augmentation.md': _augmentation_names,
  'docs/command_line.md': _features_names,
  'docs/data.md': lambda: {'config': types.SimpleNamespace()},
  'docs/evaluation.md': _evaluation_names,
}


@pytest.mark.slow
@pytest.mark.parametrize(
  'page', [p for p in _pages('python') if not _is_long(p)]
)
def test_python(page, tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  names = NAMES.get(page, dict)()
  for block in _run_blocks('python', page):
    code = _shorter(block.text, {**SHORTER, **FEWER})
    exec(compile(code, page, 'exec'), names)
  if page == 'docs/augmentation.md':
    assert names['first'].shape == (2, 96, 96, 3)
    views = names['augment'](
      names['jax'].random.key(0), {'image': names['images']}
    )
    assert views['views'][0].shape == (2, 64, 64, 3)
  if page == 'docs/quickstart.md':
    assert "'top1'" in capsys.readouterr().out
    assert (tmp_path / 'runs' / 'python' / 'metrics.jsonl').exists()


@pytest.mark.slow
@pytest.mark.parametrize('page', filter(_is_long, _pages('python')))
def test_notebook(page, tmp_path, monkeypatch):
  monkeypatch.setenv('MPLBACKEND', 'agg')
  monkeypatch.setattr('tempfile.tempdir', str(tmp_path))
  monkeypatch.chdir(tmp_path)  # and back, wherever a cell goes
  names = {}
  for block in _run_blocks('python', page):
    exec(compile(_shorter(block.text, SHORTER_CELLS), page, 'exec'), names)
  if page == 'docs/notebooks/command_line.md':
    assert names['code'] == 0


@pytest.mark.parametrize('page', filter(_is_long, PAGES))
def test_notebook_is_made_from_its_page(page):
  file = PAGES[page].with_suffix('.ipynb')
  cells = json.loads(file.read_text(encoding='utf-8'))['cells']
  code = [''.join(c['source']) for c in cells if c['cell_type'] == 'code']
  assert code == [block.text.rstrip('\n') for block in _blocks(page)]
  text = '\n\n'.join(
    ''.join(c['source']) for c in cells if c['cell_type'] == 'markdown'
  )
  page_text = FENCE.sub('', PAGES[page].read_text(encoding='utf-8'))
  assert text.split() == page_text.split()
  assert not any(cell.get('outputs') for cell in cells)


def test_quickstart_has_at_most_fifteen_lines():
  (block,) = _run_blocks('python', 'docs/quickstart.md')
  assert len([line for line in block.text.splitlines() if line]) <= 15
  assert all(ours in block.text for ours in SHORTER)


def test_notebooks_have_what_is_shortened():
  code = ''.join(
    block.text
    for page in filter(_is_long, _pages('python'))
    for block in _run_blocks('python', page)
  )
  assert all(ours in code for ours in SHORTER_CELLS)


# Pages whose commands look at what their Python has made.
PREPARED = ('docs/channels.md',)
# What a page takes for granted.
BEFORE = {
  'docs/command_line.md': (
    'train --config quickstart --workdir runs/a',
    'eval knn --workdir runs/a --limit 32',
  ),
}


@pytest.fixture
def place(tmp_path, monkeypatch):
  """A folder with what the commands of the pages begin with."""
  (tmp_path / 'configs').symlink_to(ROOT / 'configs')
  generator = np.random.default_rng(0)
  for name in ('cats', 'dogs'):
    (tmp_path / 'FOLDER' / name).mkdir(parents=True)
    for number in range(12):
      pixels = generator.integers(0, 256, (36, 40, 3), dtype=np.uint8)
      path = tmp_path / 'FOLDER' / name / f'{number}.png'
      Image.fromarray(pixels).save(path)
  monkeypatch.chdir(tmp_path)
  return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize('page', _pages('sh'))
def test_commands(page, place):
  for line in BEFORE.get(page, ()):
    _run(['jaxssl', *line.split()])
  if page in PREPARED:
    first, *_ = _run_blocks('python', page)
    exec(compile(_shorter(first.text, FEWER), page, 'exec'), {})
  for block in _run_blocks('sh', page):
    for words in _commands(block.text):
      _run(words)


def _run(words):
  assert words[0] == 'jaxssl', f'{words} cannot be run here'
  words = words[: words.index('>')] if '>' in words else words
  more = SHORT if words[1] in ('train', 'adapt') else ()
  if words[1] == 'adapt':
    more += ('--config.eval.steps=1', '--config.eval.limit=32')
  for name, small in SMALL.items():
    if more and name in ' '.join(words):
      more += small
  assert runs.jaxssl(*words[1:], *more) == 0, words
