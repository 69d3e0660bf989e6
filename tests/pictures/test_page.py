import base64
import io

import numpy as np
from PIL import Image
import pytest

from jaxssl.pictures import grid, page
from tests.pictures.html_reader import read_html

TITLE = '<dino> & "friends"'


@pytest.fixture(scope='module')
def written(tmp_path_factory):
  folder = tmp_path_factory.mktemp('page')
  pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
  grid.write_png(pixels, folder / 'a.png')
  section = page.Section(
    title='A picture',
    text='What < is seen',
    alt='noise "here"',
    picture=folder / 'a.png',
  )
  page.write_page(
    folder / 'index.html',
    title=TITLE,
    facts={'data': 'a & b'},
    sections=[section],
    config='{"name": "<script>"}',
  )
  text = (folder / 'index.html').read_text(encoding='utf-8')
  return text, read_html(text), pixels


def test_picture_is_in_the_page_and_described(written):
  _, reader, pixels = written
  (image,) = [attrs for tag, attrs in reader.tags if tag == 'img']
  assert image['alt'] == 'noise "here"'
  kind, _, data = image['src'].partition(',')
  assert kind == 'data:image/png;base64'
  shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
  np.testing.assert_array_equal(shown, pixels)


def test_nothing_comes_from_elsewhere(written):
  text, reader, _ = written
  assert {tag for tag, _ in reader.tags}.isdisjoint({'link', 'script', 'a'})
  assert 'http' not in text
  assert 'url(' not in text


def test_texts_are_shown_as_they_are(written):
  _, reader, _ = written
  for text in (TITLE, 'a & b', 'What < is seen', '{"name": "<script>"}'):
    assert text in reader.text


def test_light_and_dark(written):
  text, _, _ = written
  assert 'color-scheme: light dark' in text
  assert 'prefers-color-scheme: dark' in text
