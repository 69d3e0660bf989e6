"""The report as Chromium shows it, on a desktop and on a phone."""

import shutil
import threading

import pytest

from jaxssl.commands import watch
from tests import chromium
from tests.commands import runs

pytestmark = pytest.mark.skipif(
  chromium.path() is None,
  reason='no Chromium is installed (apt-get install chromium)',
)
SMALL = ('--num_images=2', '--limit=30')
PAIRS = (
  '--method=clip',
  '--config.text_encoder.dim=16',
  '--config.text_encoder.depth=1',
  '--config.text_encoder.num_heads=2',
  '--config.text.length=16',
  '--data=photos',
  '--config.data.crops_per_picture=2',
)
MASKED = ('--method=mae', '--config.method.decoder_dim=16', '--data=digits')
ENCODER = runs.MODEL[1:5]
HEADINGS = 'Has it learned?', 'Evaluations', 'Map', 'Patches of a kind'


@pytest.fixture(scope='module')
def browser():
  with chromium.browser() as opened:
    yield opened


def _report(folder, *arguments):
  """The page of a tiny run that was stopped once, with an evaluation."""
  train = ('train', f'--workdir={folder}', *ENCODER, *runs.LENGTH)
  train += ('--config.eval.steps=2', *arguments)
  assert runs.jaxssl(*train) == 0
  command = ('eval', 'knn', f'--workdir={folder}', '--limit=30')
  assert runs.jaxssl(*command) == 0
  assert runs.jaxssl('report', folder, *SMALL) == 0
  return folder / 'report.html'


@pytest.fixture(scope='module')
def pages(tmp_path_factory):
  folder = tmp_path_factory.mktemp('reports')
  return {
    'masked': _report(folder / 'masked', *MASKED),
    'pairs': _report(folder / 'pairs', *PAIRS),
  }


@pytest.mark.slow
@pytest.mark.parametrize('size', chromium.SIZES)
@pytest.mark.parametrize('kind', ['masked', 'pairs'])
def test_it_is_shown_whole(kind, size, pages, browser, tmp_path):
  browser.open(pages[kind].as_uri(), size)
  assert browser.complaints == []
  asked = {address.partition(':')[0] for address in browser.requests}
  assert asked == {'file', 'data'}
  # Nothing is wider than the window, but what can be moved in its own frame.
  width = chromium.SIZES[size][0]
  assert browser.value('document.documentElement.scrollWidth') <= width
  assert browser.value(_CUT) == []
  pictures = browser.value('[...document.images].map(i => i.naturalWidth)')
  assert len(pictures) > 10
  assert min(pictures) > 0
  shown = browser.value('document.body.innerText')
  for words in (*HEADINGS, 'trained for', 'Step 4 of 4, finished', 'chance'):
    assert words in shown
  browser.screenshot(tmp_path / 'page.png')
  assert (tmp_path / 'page.png').stat().st_size > 10_000


# Words of curves that leave their picture, and text that leaves its box.
_CUT = """
[...document.querySelectorAll('svg text')].filter(text => {
  const own = text.getBoundingClientRect();
  const frame = text.ownerSVGElement.getBoundingClientRect();
  return own.left < frame.left - 1 || own.right > frame.right + 1;
}).concat([...document.querySelectorAll('p, td, th, h1, h2')].filter(text =>
  !text.closest('.wide') && text.scrollWidth > text.clientWidth + 1
)).map(text => text.textContent)
"""


@pytest.mark.slow
def test_each_kind_of_run_has_its_own_pictures(pages, browser):
  browser.open(pages['masked'].as_uri(), 'desktop')
  shown = browser.value('document.body.innerText')
  for words in ('Reconstruction of hidden patches', 'patch means'):
    assert words in shown
  assert 'Attention of the class token' in shown
  browser.open(pages['pairs'].as_uri(), 'desktop')
  cards = browser.value(
    '[...document.querySelectorAll(".card")].map('
    'c => [...c.querySelectorAll("p")].map(p => p.innerText))'
  )
  assert [len(lines) for lines in cards] == [4, 4]  # its own, and three more
  assert all(lines[0].startswith('caption: ') for lines in cards)


@pytest.mark.slow
def test_a_watched_page_loads_itself_again(pages, browser, tmp_path):
  run = shutil.copytree(pages['masked'].parent, tmp_path / 'run')
  drawn = watch.Drawn(watch.report_command.here(run), None)
  server = watch.open_server(0, lambda: drawn.page(1))
  thread = threading.Thread(target=server.serve_forever, daemon=True)
  thread.start()
  try:
    browser.open(f'http://127.0.0.1:{server.server_port}', 'phone')
    assert 'Step 4.' in browser.value('document.body.innerText')
    with (run / 'metrics.jsonl').open('a') as file:
      file.write('{"step": 7, "loss": 1.0}\n')
    browser.wait_for('Page.loadEventFired')
    browser.wait_for('Page.loadEventFired')
    assert 'Step 7.' in browser.value('document.body.innerText')
    assert browser.complaints == []
  finally:
    server.shutdown()
    server.server_close()
    thread.join()
