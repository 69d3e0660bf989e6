import logging

import numpy as np
import pytest

from jaxssl.data.captions import Captions, warn_skipped

TEXTS = [('a cat', 'eine Katze'), ('猫',), ('', 'x', '\ud800')]


@pytest.fixture
def captions():
  return Captions.from_texts(TEXTS)


def test_texts_come_back(captions):
  assert len(captions) == 3
  assert [captions[i] for i in range(2)] == TEXTS[:2]
  # Half of a surrogate pair is no text.
  assert captions[2] == ('', 'x', '?')


def test_taking_and_joining(captions):
  taken = captions.take(np.array([1, 0]))
  joined = Captions.joined([taken, captions.take(np.array([1]))])
  assert [joined[i] for i in range(3)] == [TEXTS[1], TEXTS[0], TEXTS[1]]
  assert Captions(**joined.arrays)[1] == TEXTS[0]


def test_every_text_is_drawn_equally_often_and_again_in_the_same_place():
  captions = Captions.from_texts([('a', 'b', 'c')] * 4)
  epochs = np.arange(3000)
  index = epochs % 4
  drawn = captions.draw(index, epoch=epochs, seed=1)
  counts = [drawn.count(text) for text in 'abc']
  # Standard deviation 26.
  assert min(counts) > 900
  again = captions.draw(index[70:80], epoch=epochs[70:80], seed=1)
  assert again == drawn[70:80]
  assert captions.draw(index, epoch=epochs, seed=2) != drawn


def test_several_texts_of_a_record_differ_while_it_has_so_many():
  captions = Captions.from_texts([('a', 'b', 'c'), ('d',), ('e', 'f', 'g')])
  index = np.tile([0, 1, 2], 1000)
  epochs = np.arange(3000)
  drawn = captions.draw(index, epoch=epochs, seed=1, each=2)
  rows = np.array(drawn).reshape(-1, 2)
  # The first is the one that is drawn alone.
  assert rows[:, 0].tolist() == captions.draw(index, epoch=epochs, seed=1)
  several = rows[index != 1]
  assert np.all(several[:, 0] != several[:, 1])
  assert np.all(rows[index == 1] == 'd')
  # Standard deviation 26 of 667.
  assert min((several == text).sum() for text in 'abcefg') > 560


def test_what_is_left_out_is_counted_and_named(caplog):
  with caplog.at_level(logging.WARNING):
    warn_skipped('x.tar', {'too large': list('abcde'), 'empty': []})
  (message,) = caplog.messages
  assert message == 'x.tar: 5 left out, too large: a, b, c, ...'
