"""Two processes whose workdir is `gs://`, as those of a TPU slice."""

import json

import pytest

from jaxssl import paths
from tests import object_store
from tests.commands import runs
from tests.parallel import joined

WORKDIR = 'gs://bucket/run'
EXPORTED = ('export/encoder.safetensors', 'export/encoder.json')


@pytest.fixture(name='shared_store')
def _shared_store(tmp_path, monkeypatch):
  file = tmp_path / 'objects.sqlite'
  monkeypatch.setenv('OBJECTS', str(file))
  with object_store.running(file):
    yield


def _train(workdir):
  options = ('--config.train.num_devices=None', '--config.eval.steps=2')
  arguments = runs.train_arguments(workdir, *options)
  codes, errors = joined.Pair(arguments, module='tests.parallel.stored').end()
  assert codes == [0, 0], errors
  return errors


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.usefixtures('shared_store')
def test_two_processes_end_as_on_a_disk_and_resume_to_the_bit(tmp_path):
  _train(tmp_path / 'run')
  wanted = {name: (tmp_path / 'run' / name).read_bytes() for name in EXPORTED}
  run = paths.make_path(WORKDIR)

  _train(run)
  assert {name: (run / name).read_bytes() for name in EXPORTED} == wanted

  for name in object_store.names('bucket/run'):
    if name.startswith(('bucket/run/checkpoints/4/', 'bucket/run/export/')):
      object_store.remove(name)
  errors = _train(run)
  assert 'resuming from step 2' in errors[0]
  assert {name: (run / name).read_bytes() for name in EXPORTED} == wanted
  lines = (run / 'metrics.jsonl').read_text().splitlines()
  steps = [json.loads(line)['step'] for line in lines]
  assert steps == sorted(steps)
  assert steps.count(4) == 2  # the loss, and the evaluation
