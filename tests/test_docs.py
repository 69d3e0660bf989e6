"""Python in the pages runs as it stands there, but for its length."""

import pathlib
import re

import numpy as np

DOCS = pathlib.Path(__file__).resolve().parent.parent / 'docs'
SHORTER = {
  "'num_steps': 100": "'num_steps': 1",
  "'batch_size': 128": "'batch_size': 16",
  "'photos', split=s": "'photos', split=s, crops_per_picture=4",
}


def _blocks(page):
  text = (DOCS / page).read_text(encoding='utf-8')
  return re.findall(r'```python\n(.*?)```', text, re.DOTALL)


def test_quickstart_in_at_most_fifteen_lines(tmp_path, monkeypatch, capsys):
  (code,) = _blocks('quickstart.md')
  assert len([line for line in code.splitlines() if line]) <= 15
  for ours, shorter in SHORTER.items():
    assert ours in code
    code = code.replace(ours, shorter)
  monkeypatch.chdir(tmp_path)
  exec(code, {})
  assert "'top1'" in capsys.readouterr().out
  assert (tmp_path / 'runs' / 'python' / 'metrics.jsonl').exists()


def test_augmentation():
  images = np.zeros((2, 96, 96, 3), np.uint8)
  names = {'images': images, 'test_images': images}
  for code in _blocks('augmentation.md'):
    exec(code, names)
  assert names['first'].shape == (2, 96, 96, 3)
  views = names['augment'](names['jax'].random.key(0), {'image': images})
  assert views['views'][0].shape == (2, 64, 64, 3)
