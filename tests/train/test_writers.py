import io
import json
import struct

import numpy as np
from PIL import Image
from tensorboardX.proto.event_pb2 import Event

from jaxssl.train import writers


def _write(path, *steps, first_step=0):
  writer = writers.JsonLines(path, first_step=first_step)
  for step in steps:
    writer.write(step, {'loss': step / 2})
  writer.close()


def _steps(path):
  return [record['step'] for record in writers.read_json_lines(path)]


class TestJsonLines:
  def test_one_object_a_line(self, tmp_path):
    path = tmp_path / 'metrics.jsonl'
    _write(path, 1, 2)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(0 <= line.pop('seconds') < 60 for line in lines)
    assert lines == [{'step': 1, 'loss': 0.5}, {'step': 2, 'loss': 1.0}]

  def test_lines_are_on_disk_at_once(self, tmp_path):
    writer = writers.JsonLines(tmp_path / 'metrics.jsonl')
    writer.write(1, {'loss': 1.0})
    assert _steps(tmp_path / 'metrics.jsonl') == [1]
    writer.close()

  def test_a_resumed_run_writes_steps_once(self, tmp_path):
    path = tmp_path / 'metrics.jsonl'
    _write(path, 1, 2, 3, 4)
    _write(path, 3, 4, 5, first_step=2)
    assert _steps(path) == [1, 2, 3, 4, 5]

  def test_seconds_are_those_of_all_parts(self, tmp_path, monkeypatch):
    path, now = tmp_path / 'metrics.jsonl', [1000.0]
    monkeypatch.setattr(writers.time, 'monotonic', lambda: now[0])
    for first_step, steps in ((0, (1, 2, 3)), (1, (2,))):
      writer = writers.JsonLines(path, first_step=first_step)
      for step in steps:
        now[0] += 10
        writer.write(step, {})
      writer.close()
      now[0] = 50.0  # another process, whose clock begins anew
    # Steps 2 and 3 of the first part were lost; their time was not saved.
    records = writers.read_json_lines(path)
    assert [(r['step'], r['seconds']) for r in records] == [(1, 10), (2, 40)]

  def test_seconds_of_a_damaged_line_do_not_count(self, tmp_path):
    path = tmp_path / 'metrics.jsonl'
    path.write_text('{"step": 1, "seconds": "x"}\n{"step": 2}\n')
    _write(path, 3, first_step=2)
    assert writers.read_json_lines(path)[-1]['seconds'] == 0.0

  def test_half_a_line_is_dropped(self, tmp_path):
    path = tmp_path / 'metrics.jsonl'
    _write(path, 1, 2)
    path.write_text(path.read_text()[:-8])
    assert _steps(path) == [1]
    _write(path, 2, first_step=2)
    assert _steps(path) == [1, 2]
    assert path.read_text().count('\n') == 2

  def test_a_new_run_starts_empty(self, tmp_path):
    path = tmp_path / 'metrics.jsonl'
    _write(path, 1, 2)
    _write(path)
    assert _steps(path) == []


def _events(directory):
  """Reads TFRecords: length (8 bytes), checksum (4), event, checksum (4)."""
  (path,) = directory.glob('events.out.tfevents.*')
  data = path.read_bytes()
  while data:
    (length,) = struct.unpack('<Q', data[:8])
    event = Event()
    event.ParseFromString(data[12 : 12 + length])
    yield event
    data = data[16 + length :]


def test_tensorboard_has_groups_config_and_pictures(tmp_path):
  about = writers.About(
    name='mine',
    config={'method': {'name': 'simclr'}, 'train': {'epochs': None}},
    pictures={'views': np.full((4, 6, 3), 9, np.uint8)},
  )
  writer = writers.TensorBoard(tmp_path, about)
  writer.write(1, {'loss': 0.5, 'knn/top1': 0.25})
  writer.write(2, {'loss': 0.125, 'images_per_second': 2.0})
  writer.close()
  values = [
    (event.step, value)
    for event in _events(tmp_path)
    for value in event.summary.value
  ]
  assert [
    (step, value.tag, value.simple_value)
    for step, value in values
    if value.HasField('simple_value')
  ] == [
    (1, 'train/loss', 0.5),
    (1, 'knn/top1', 0.25),
    (2, 'train/loss', 0.125),
    (2, 'speed/images_per_second', 2.0),
  ]
  found = {value.tag: value for _, value in values}
  (text,) = found['config/text_summary'].tensor.string_val
  assert '"simclr"' in text.decode()
  picture = Image.open(io.BytesIO(found['views'].image.encoded_image_string))
  assert picture.size == (6, 4)
  assert picture.getpixel((0, 0)) == (9, 9, 9)
  hparams = found['_hparams_/session_start_info'].metadata.plugin_data.content
  assert b'method.name' in hparams
  assert b'simclr' in hparams
