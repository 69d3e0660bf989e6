import contextlib
import dataclasses
import json
import os
import signal
import threading

import chex
from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxssl import models
from jaxssl.data import batch_shapes
from jaxssl.errors import UserError
from jaxssl.methods import Aux, SimCLR
from jaxssl.ops import schedules
from jaxssl.parallel import collectives, modes
from jaxssl.train import learner, loop, preemption
from jaxssl.train.checkpoint import Checkpoints
from jaxssl.train.learner import Learner
from jaxssl.train.monitor import DivergedError
from jaxssl.train.writers import JsonLines, read_json_lines

ROWS, SIZE = 8, 8
SHAPES = batch_shapes(ROWS, image_size=SIZE)
SPEEDS = ('images_per_second', 'seconds', 'seconds_left', 'input_wait')


class FakeBatches:
  """Pictures that follow from the step, as the real pipeline's do.

  Attributes:
    at_step: step -> what happens while its batch is made.
  """

  wait_seconds = 0.0
  bad = 3

  def __init__(self, first_step, at_step=None):
    self.step, self.at_step, self.closed = first_step, at_step or {}, False

  def __iter__(self):
    return self

  def __next__(self):
    self.at_step.get(self.step, lambda: None)()
    noise = np.random.default_rng(self.step)
    self.step += 1
    return {
      'image': noise.integers(0, 256, (ROWS, SIZE, SIZE, 3), np.uint8),
      'label': np.full(ROWS, -1, np.int32),
      'index': np.arange(ROWS),
    }

  def close(self):
    self.closed = True


@dataclasses.dataclass(frozen=True)
class Brightness:
  """The smallest method: one weight learns the mean brightness.

  The loss is not a number from `nan_step` on.
  """

  nan_step: int = 1000

  def init(self, key, batch):
    return {'w': jnp.zeros(())}, {'seen': jnp.zeros((), jnp.int32)}

  def loss(self, params, state, batch, *, key, step, axis_name=None):
    error = params['w'] - jnp.mean(batch['views'][0])
    loss = error**2 + jnp.where(step + 1 >= self.nan_step, jnp.nan, 0.0)
    return loss, Aux({'error': error}, ())

  def update(self, params, state, carry, *, step):
    return params, {'seen': state['seen'] + 1}

  def export(self, params, state):
    return {'encoder': {'params': params}}


def _views(key, batch, axis_name):
  return {**batch, 'views': (jnp.asarray(batch['image'], jnp.float32) / 255,)}


def _noisy_views(key, batch, axis_name):
  keys = collectives.row_keys(key, len(batch['image']), axis_name)
  noise = jax.vmap(lambda k: jax.random.normal(k, (2, SIZE, SIZE, 3)))(keys)
  (images,) = _views(key, batch, axis_name)['views']
  return {**batch, 'views': (images + noise[:, 0], images + noise[:, 1])}


def _learner(nan_step=1000):
  method = Brightness(nan_step=nan_step)
  return Learner(method=method, augment=_views, tx=optax.sgd(0.1))


def _job(**changes):
  job = loop.Job(
    learner=_learner(),
    shapes=SHAPES,
    mode=modes.make_mode('jit', num_devices=1),
    make_batches=FakeBatches,
    seed=0,
    num_steps=7,
    batch_size=ROWS,
    log_steps=2,
    checkpoint_steps=3,
    eval_steps=4,
    evaluate=None,
    learning_rate=schedules.linear(start=1.0, end=0.0, num_steps=10),
    meta={'data': 'a'},
  )
  return dataclasses.replace(job, **changes)


def _train(directory, job):
  def make_writers(first_step):
    return [JsonLines(directory / 'metrics.jsonl', first_step=first_step)]

  opened = Checkpoints(directory / 'checkpoints')
  with contextlib.closing(opened) as checkpoints:
    return loop.train(job, checkpoints=checkpoints, make_writers=make_writers)


def _records(directory):
  """What the run wrote, without what depends on the clock."""
  return [
    {name: value for name, value in record.items() if name not in SPEEDS}
    for record in read_json_lines(directory / 'metrics.jsonl')
  ]


def _saved_steps(directory):
  names = (path.name for path in (directory / 'checkpoints').iterdir())
  return sorted(int(name) for name in names)


def _plain(state):
  return jax.device_get(state.replace(key=jax.random.key_data(state.key)))


def _terminate():
  os.kill(os.getpid(), signal.SIGTERM)


def _batches_with(at_step):
  return lambda first_step: FakeBatches(first_step, at_step)


class DenseEncoder(nn.Module):
  """Has batch statistics, and compiles faster than convolutions."""

  @nn.compact
  def __call__(self, images, train=False, axis_name=None, keys=None):
    x = nn.Dense(8, use_bias=False)(images.reshape(len(images), -1))
    x = models.BatchNorm()(x, train=train, axis_name=axis_name)
    return nn.relu(x), {}


@dataclasses.dataclass(frozen=True)
class CompiledOnce(modes.Jit):
  """Jit whose step serves all runs of a test, to save their compilations."""

  programs: dict = dataclasses.field(default_factory=dict, compare=False)

  def compile(self, step):
    return self.programs.setdefault('step', super().compile(step))


def _simclr_job(**changes):
  job = _job(
    learner=Learner(
      method=SimCLR(
        encoder=DenseEncoder(),
        head=models.SimCLRHead(num_layers=2, out_dim=8),
      ),
      augment=_noisy_views,
      tx=optax.adamw(1e-3),
    )
  )
  return dataclasses.replace(job, **changes)


# The same bits, whether the run was asked to stop (saved where it was) or lost
# the steps after its last checkpoint (`kill -9`), which it then repeats.
def test_stopped_and_resumed_equals_straight(tmp_path):
  job = _simclr_job(mode=CompiledOnce(modes.make_mesh(jax.devices()[:1])))
  straight = _plain(_train(tmp_path / 'a', job))
  stopping = dataclasses.replace(
    job, make_batches=_batches_with({4: _terminate})
  )
  with pytest.raises(loop.Preempted, match='SIGTERM: stopped after saving st'):
    _train(tmp_path / 'b', stopping)
  assert _saved_steps(tmp_path / 'b') == [3, 5]
  (tmp_path / 'b' / 'checkpoints' / '5').rename(tmp_path / 'lost')
  resumed = _plain(_train(tmp_path / 'b', job))
  chex.assert_trees_all_equal(resumed, straight)
  assert _records(tmp_path / 'b') == _records(tmp_path / 'a')


# With the state cut over all devices; a run may also change to it on the way.
def test_shared_state_is_resumed_to_the_bit(tmp_path):
  mesh = modes.make_mesh(fsdp=None)
  shared = _simclr_job(mode=CompiledOnce(mesh, smallest=16))
  straight = _plain(_train(tmp_path / 'a', shared))
  whole = _simclr_job(mode=CompiledOnce(modes.make_mesh()))
  for name, first in (('b', shared), ('c', whole)):
    stopping = dataclasses.replace(
      first, make_batches=_batches_with({4: _terminate})
    )
    with pytest.raises(loop.Preempted):
      _train(tmp_path / name, stopping)
  resumed = _plain(_train(tmp_path / 'b', shared))
  chex.assert_trees_all_equal(resumed, straight)
  changed = _plain(_train(tmp_path / 'c', shared))
  chex.assert_trees_all_close(changed, straight, rtol=2e-5, atol=2e-5)


def test_stop_saves_the_step_at_hand_and_the_run_goes_on(tmp_path):
  straight = _plain(_train(tmp_path / 'a', _job()))
  with pytest.raises(loop.Preempted) as stopped:
    _train(tmp_path / 'b', _job(make_batches=_batches_with({4: _terminate})))
  assert stopped.value.step == 5
  started = []

  def make_batches(first_step):
    started.append(first_step)
    return FakeBatches(first_step)

  resumed = _plain(_train(tmp_path / 'b', _job(make_batches=make_batches)))
  assert started == [5]
  chex.assert_trees_all_equal(resumed, straight)
  assert _records(tmp_path / 'b') == _records(tmp_path / 'a')


# Whatever takes long: it is left, and what was saved or not begun is complete.
@pytest.mark.parametrize(
  ('slow', 'step', 'saved'),
  [('evaluation', 0, []), ('compilation', 0, []), (0, 0, []), (4, 4, [3, 4])],
)
def test_a_stop_does_not_wait(slow, step, saved, tmp_path, monkeypatch):
  monkeypatch.setattr(preemption, '_GRACE', 0.1)
  free = threading.Event()

  def stuck():
    # Once: what is left goes on, and a second signal would end the tests.
    if not free.is_set():
      _terminate()
      free.wait()

  def views(key, batch, axis_name):
    if slow == 'compilation' and isinstance(batch['image'], jax.core.Tracer):
      stuck()
    return _views(key, batch, axis_name)

  def evaluate(towers, step):
    stuck()
    return {}

  job = _job(
    learner=dataclasses.replace(_learner(), augment=views),
    make_batches=_batches_with({slow: stuck}),
    **({'evaluate': evaluate} if slow == 'evaluation' else {}),
  )
  with pytest.raises(loop.Preempted, match='SIGTERM: stopped') as stopped:
    _train(tmp_path / 'b', job)
  free.set()
  preemption._left[-1].exception(60)  # it goes on, into what is closed by now
  assert stopped.value.step == step
  assert ('nothing was lost' in str(stopped.value)) is (step == 0)
  assert _saved_steps(tmp_path / 'b') == saved
  straight = _plain(_train(tmp_path / 'a', _job()))
  chex.assert_trees_all_equal(_plain(_train(tmp_path / 'b', _job())), straight)
  assert _records(tmp_path / 'b') == _records(tmp_path / 'a')


def test_a_stop_at_the_last_step_is_the_end(tmp_path):
  stopping = _batches_with({6: _terminate})
  state = _train(tmp_path, _job(make_batches=stopping))
  assert int(state.step) == 7


def test_a_finished_run_has_nothing_to_do(tmp_path):
  first = _plain(_train(tmp_path, _job()))
  again = _plain(_train(tmp_path, _job()))
  chex.assert_trees_all_equal(again, first)
  assert [record['step'] for record in _records(tmp_path)] == [2, 4, 6, 7]

  def make_batches(first_step):
    _terminate()
    return FakeBatches(first_step)

  with pytest.raises(loop.Preempted, match='all 7 steps are done and saved'):
    _train(tmp_path, _job(make_batches=make_batches))


def test_goes_on_in_the_other_mode(tmp_path):
  straight = _plain(_train(tmp_path / 'a', _job()))
  with pytest.raises(loop.Preempted):
    _train(tmp_path / 'b', _job(make_batches=_batches_with({4: _terminate})))
  mode = modes.make_mode('pmap', num_devices=2)
  resumed = _plain(_train(tmp_path / 'b', _job(mode=mode)))
  # Two devices take the mean of the batch in another order.
  chex.assert_trees_all_close(resumed, straight, rtol=1e-6)


def test_metrics_checkpoints_and_rates(tmp_path):
  _train(tmp_path, _job())
  records = read_json_lines(tmp_path / 'metrics.jsonl')
  assert [record['step'] for record in records] == [2, 4, 6, 7]
  assert set(records[0]) == {
    *('step', 'loss', 'grad_norm', 'error', 'learning_rate', 'bad_records'),
    *SPEEDS,
  }
  # Of the update that made this step: k = step - 1.
  np.testing.assert_allclose(records[0]['learning_rate'], 0.9, rtol=1e-6)
  assert records[0]['bad_records'] == 3.0
  assert _saved_steps(tmp_path) == [3, 6, 7]


def test_evaluation_runs_at_both_ends_and_every_so_many_steps(tmp_path):
  weights = []

  def evaluate(towers, step):
    del step
    weights.append(float(towers['encoder']['params']['w']))
    return {'knn/top1': 0.5}

  _train(tmp_path, _job(evaluate=evaluate))
  evaluated = [r['step'] for r in _records(tmp_path) if 'knn/top1' in r]
  assert evaluated == [0, 4, 7]
  assert weights[0] == 0.0
  assert len(set(weights)) == 3


def test_nan_stops_and_the_last_good_checkpoint_stands(tmp_path):
  job = _job(learner=_learner(nan_step=5))
  with pytest.raises(DivergedError) as diverged:
    _train(tmp_path, job)
  # The loss went bad; the gradient of its finite part did not.
  assert 'loss is nan at step 5;' in str(diverged.value)
  assert 'last good checkpoint: step 3' in str(diverged.value)
  assert _saved_steps(tmp_path) == [3]


def test_nan_is_found_before_its_state_is_saved(tmp_path):
  # Metrics are not due until the end; the checkpoint of step 6 looks itself.
  job = _job(learner=_learner(nan_step=5), log_steps=100)
  with pytest.raises(DivergedError, match='at step 5'):
    _train(tmp_path, job)
  assert _saved_steps(tmp_path) == [3]


def test_changed_data_is_refused(tmp_path):
  _train(tmp_path, _job(num_steps=3))
  with pytest.raises(UserError, match=r'data of this run has changed since'):
    _train(tmp_path, _job(meta={'data': 'b'}))


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'seed': 8}, r'another seed \(.* -> 8\)'),
    ({'meta': {'data': 'a', 'config': 'y'}}, r'another config \(x -> y\)'),
  ],
)
def test_a_checkpoint_of_another_run_is_refused(changes, message, tmp_path):
  first = {'meta': {'data': 'a', 'config': 'x'}}
  _train(tmp_path, _job(num_steps=3, **first))
  with pytest.raises(UserError, match=message):
    _train(tmp_path, _job(**(first | changes)))
  assert _saved_steps(tmp_path) == [3]


def test_files_that_were_written_again_are_told(tmp_path, caplog):
  _train(tmp_path, _job(num_steps=3, meta={'data': 'a', 'files': 'x'}))
  assert 'written again' not in caplog.text
  _train(tmp_path, _job(meta={'data': 'a', 'files': 'y'}))
  assert 'files of the data were written again since step 3' in caplog.text


def test_a_run_of_an_earlier_version_goes_on_with_a_warning(tmp_path, caplog):
  straight = _train(tmp_path / 'straight', _job())
  _train(tmp_path / 'old', _job(num_steps=3))
  # Earlier versions saved no more than this, and made the hash otherwise.
  meta = tmp_path / 'old/checkpoints/3/meta/metadata'
  meta.write_text(json.dumps({'step': 3, 'data': 'other', 'config': 'x'}))
  resumed = _train(tmp_path / 'old', _job())
  assert 'whether the data are those of step 3 cannot be told' in caplog.text
  chex.assert_trees_all_equal(
    jax.device_get(resumed.params), jax.device_get(straight.params)
  )


def test_another_method_is_refused_and_nothing_is_lost(tmp_path):
  _train(tmp_path, _job(num_steps=3))
  with pytest.raises(UserError, match='of another method, encoder or optim'):
    _train(tmp_path, _simclr_job())
  assert _saved_steps(tmp_path) == [3]


def test_the_step_is_compiled_once(tmp_path, monkeypatch):
  counted = chex.assert_max_traces(learner.train_step, n=1)
  monkeypatch.setattr(learner, 'train_step', counted)
  chex.clear_trace_counter()
  _train(tmp_path, _job(evaluate=lambda towers, step: {}))


def test_input_is_closed_whatever_happens(tmp_path):
  made = []

  def fail():
    raise OSError('disk is gone')

  def make_batches(first_step):
    made.append(FakeBatches(first_step, {4: fail}))
    return made[-1]

  with pytest.raises(OSError, match='disk is gone'):
    _train(tmp_path, _job(make_batches=make_batches))
  assert [batches.closed for batches in made] == [True]
  assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_abstract_state_has_the_shapes_of_the_state(tmp_path):
  state = _train(tmp_path, _job(num_steps=1))
  chex.assert_trees_all_equal_shapes_and_dtypes(
    _job().learner.abstract(SHAPES), state
  )
