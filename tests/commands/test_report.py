"""`jaxssl report` and `jaxssl watch`: a run on one page."""

import http.client
import re
import shutil
import threading
import urllib.request

from PIL import Image
import pytest

from jaxssl.commands import watch
from jaxssl.errors import UserError
from tests.commands import runs
from tests.pictures.html_reader import read_html

SMALL = ('--num_images=2', '--limit=30')


def _read(path):
  return read_html(path.read_text(encoding='utf-8'))


@pytest.fixture
def copy(finished_run, tmp_path):
  return shutil.copytree(finished_run, tmp_path / 'run')


def test_one_page_with_standing_curve_and_pictures(copy):
  assert runs.jaxssl('report', copy, *SMALL) == 0
  page = _read(copy / 'report.html')
  assert 'Step 4 of 4, finished' in page.text
  for words in ('Has it learned?', 'Map', 'Patches of a kind', 'digits/train['):
    assert words in page.text
  # Two views of 16 pictures: ln 31.
  assert 'guessing 3.434' in page.text
  tags = {tag for tag, _ in page.tags}
  assert tags.isdisjoint({'script', 'link', 'a', 'iframe'})
  sources = [a['src'] for tag, a in page.tags if tag == 'img']
  assert len(sources) > 10
  assert all(source.startswith('data:image/') for source in sources)


def test_names_of_files_are_text(copy, tmp_path):
  folder = tmp_path / 'named'
  for split in ('train', 'test'):
    for number in range(5):
      name = folder / split / f'<b onload=x>{number}.png'
      name.parent.mkdir(parents=True, exist_ok=True)
      Image.new('RGB', (8, 8), (40 * number, 9, 9)).save(name)
  arguments = ('report', copy, f'--data={folder}', *SMALL)
  assert runs.jaxssl(*arguments) == 0
  page = _read(copy / 'report.html')
  assert 'train/<b onload=x>0.png' in page.text
  assert f'{folder}/train' not in page.text  # the folder is named once
  assert not any('onload' in attributes for _, attributes in page.tags)


def test_without_weights_the_page_says_how_far_it_is(copy):
  shutil.rmtree(copy / 'checkpoints')
  shutil.rmtree(copy / 'export')
  assert runs.jaxssl('report', copy, *SMALL) == 0
  page = _read(copy / 'report.html')
  assert 'Step 4.' in page.text
  assert 'training loss' in page.text


def test_a_folder_that_is_no_run_is_refused(tmp_path, capsys):
  assert runs.jaxssl('report', tmp_path) == 2
  assert 'holds no run' in capsys.readouterr().err


@pytest.fixture
def server():
  served = watch.open_server(0, lambda: '<p>page</p>')
  thread = threading.Thread(target=served.serve_forever, daemon=True)
  thread.start()
  yield served
  served.shutdown()
  served.server_close()
  thread.join()


def _get(server, path, host=None):
  connection = http.client.HTTPConnection(*server.server_address)
  headers = {'Host': host} if host else {}
  connection.request('GET', path, headers=headers)
  response = connection.getresponse()
  return response.status, response.read()


def test_one_page_is_served_on_this_machine_only(server):
  assert server.server_address[0] == '127.0.0.1'
  assert _get(server, '/') == (200, b'<p>page</p>')
  for path in ('/config.json', '/../config.json'):
    assert _get(server, path)[0] == 404
  assert _get(server, '/', host='evil.example:80')[0] == 403


def _watch(copy, monkeypatch, capsys, *between):
  """Watches, and calls something between two looks.

  Returns the pages, and the lines that it printed.
  """
  pages, steps, lines = [], list(between), []

  def sleep(_):
    lines.extend(capsys.readouterr().err.splitlines())
    address = lines[0].partition(' ')[0]
    with urllib.request.urlopen(address) as answer:
      pages.append(answer.read().decode())
    if not steps:
      raise KeyboardInterrupt
    steps.pop(0)()

  monkeypatch.setattr(watch.time, 'sleep', sleep)
  arguments = ('watch', copy, '--port=0', '--seconds=7', *SMALL)
  assert runs.jaxssl(*arguments) == 130
  return pages, lines


def test_a_new_checkpoint_is_drawn(copy, finished_run, monkeypatch, capsys):
  """The map is of the features, so another checkpoint has another one."""
  new = copy / 'checkpoints' / '4'
  shutil.rmtree(new)

  def train():
    shutil.copytree(finished_run / 'checkpoints' / '4', new)

  again = (train, lambda: None)
  pages, lines = _watch(copy, monkeypatch, capsys, *again)
  found = [re.findall('pixels, step ([0-9]+)', page) for page in pages]
  assert found == [['2'], ['4'], ['4']]
  assert all('http-equiv="refresh" content="7"' in page for page in pages)
  # Not again without a new checkpoint.
  assert sum(line.startswith('drew step') for line in lines) == 2
  before, after, _ = (_pictures(page) for page in pages)
  assert before != after
  written = (copy / 'report.html').read_text(encoding='utf-8')
  assert _pictures(written) == after


def _pictures(page):
  return re.findall('src="(data:[^"]+)"', page)


def test_numbers_are_renewed_without_a_checkpoint(copy, monkeypatch, capsys):
  shutil.rmtree(copy / 'checkpoints')
  shutil.rmtree(copy / 'export')

  def train():
    with (copy / 'metrics.jsonl').open('a') as file:
      file.write('{"step": 7, "loss": 1.0}\n')

  (before, after), _ = _watch(copy, monkeypatch, capsys, train)
  assert 'Step 4.' in before
  assert 'Step 7.' in after


def test_a_checkpoint_that_is_gone_does_not_end_it(
  copy, finished_run, monkeypatch, capsys
):
  """A training keeps the newest few only."""
  new = copy / 'checkpoints' / '6'
  new.mkdir()

  def train():
    new.rmdir()

  (before, after), lines = _watch(copy, monkeypatch, capsys, train)
  assert any('step 6 cannot be drawn' in line for line in lines)
  assert 'pixels, step' not in before
  assert 'pixels, step 4' in after


def test_a_port_that_is_taken_is_told(server):
  with pytest.raises(UserError, match='cannot be had'):
    watch.open_server(server.server_port, str)
