import sys

import pytest

from jaxssl.errors import UserError
from jaxssl.text import clean

# What the authors' function returns for the left sides.
CLIP = {
  '  A\tcat \n on  a mat ': 'a cat on a mat',
  'Fish &amp; Chips': 'fish & chips',
  '1 &amp;lt; 2': '1 < 2',
  'CAFÉ': 'café',
  '\u2003wide\u00a0space ': 'wide space',
  'schÃ¶n': 'schön',
  '“ﬁne”': '"fine"',
  '': '',
}
SIGLIP = {'A cat, on the "mat"!': 'a cat on the mat', 'x_y  z': 'xy z'}


@pytest.mark.parametrize('text', CLIP)
def test_clip(text):
  assert clean.clip(text) == CLIP[text]


@pytest.mark.parametrize('text', SIGLIP)
def test_siglip(text):
  assert clean.siglip(text) == SIGLIP[text]


def test_none_changes_nothing():
  assert clean.keep(' A\n&amp;') == ' A\n&amp;'


def test_without_ftfy_no_other_ids_come_out(monkeypatch):
  monkeypatch.setitem(sys.modules, 'ftfy', None)
  with pytest.raises(UserError, match=r'ftfy is not installed.*jaxssl\[text\]'):
    clean.clip('a cat')
