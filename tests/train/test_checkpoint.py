import contextlib
import json
import logging
import pathlib
import resource
import shutil

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.errors import UserError
from jaxssl.parallel import modes
from jaxssl.train.checkpoint import (
  CheckpointError,
  CheckpointMismatchError,
  Checkpoints,
)

META = {'data': 'fingerprint'}


def _state(step=1):
  """Every kind of leaf; `big` does not fit into the store's index."""
  noise = np.random.default_rng(step).normal(size=(64, 64))
  return {
    'params': {'big': jnp.asarray(noise, jnp.float32), 'empty': {}},
    'half': jnp.full(3, 1 / 3, jnp.bfloat16),
    'step': jnp.int32(step),
    'mask': jnp.array([True, False]),
    'nothing': (),
    'key': jax.random.key(step),
    'keys': jax.random.split(jax.random.key(step), 2),
  }


MODE = modes.make_mode('jit')
ABSTRACT = MODE.target(jax.eval_shape(_state))


def _plain(state):
  """Keys as integers, so that leaves can be compared bit for bit."""
  return jax.device_get(
    {
      **state,
      'key': jax.random.key_data(state['key']),
      'keys': jax.random.key_data(state['keys']),
    }
  )


def _assert_same(state, step):
  chex.assert_trees_all_equal_shapes_and_dtypes(state, ABSTRACT)
  chex.assert_trees_all_equal(_plain(state), _plain(_state(step)))


@contextlib.contextmanager
def _opened(directory, **kwargs):
  with contextlib.closing(Checkpoints(directory, **kwargs)) as checkpoints:
    yield checkpoints


def _save(checkpoints, *steps):
  for step in steps:
    checkpoints.save(step, _state(step), META)
  checkpoints.wait()


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
  """Steps 1 and 2; tests copy it before they change anything."""
  directory = tmp_path_factory.mktemp('saved')
  with _opened(directory) as checkpoints:
    _save(checkpoints, 1, 2)
  return directory


@pytest.fixture
def copied(saved, tmp_path):
  return pathlib.Path(shutil.copytree(saved, tmp_path / 'checkpoints'))


def test_round_trip_is_exact(saved):
  with _opened(saved) as checkpoints:
    restored = checkpoints.restore(ABSTRACT)
    assert checkpoints.steps() == [1, 2]
  assert (restored.step, restored.meta) == (2, META)
  _assert_same(restored.state, 2)


def test_any_step_can_be_restored(saved):
  with _opened(saved) as checkpoints:
    _assert_same(checkpoints.restore(ABSTRACT, step=1).state, 1)


@pytest.mark.parametrize(
  ('before', 'after'),
  [
    (('jit', 8), ('pmap', 2)),
    (('pmap', 8), ('jit', 2)),
    (('pmap', 2), ('pmap', 8)),
  ],
)
def test_goes_on_in_another_mode_on_other_devices(before, after, tmp_path):
  old, new = (modes.make_mode(m, num_devices=n) for m, n in (before, after))
  with _opened(tmp_path) as checkpoints:
    checkpoints.save(1, old.get_state(old.put_state(_state())), META)
    checkpoints.wait()
    restored = checkpoints.restore(ABSTRACT).state
  _assert_same(new.get_state(new.put_state(restored)), 1)


def test_a_shared_state_goes_into_files_and_back_in_parts(tmp_path):
  shared = modes.Jit(modes.make_mesh(fsdp=None), smallest=64)
  whole = modes.make_mode('jit', num_devices=2)
  state = shared.put_state(_state())
  with _opened(tmp_path) as checkpoints:
    for step, (old, new) in enumerate([(shared, whole), (whole, shared)], 1):
      checkpoints.save(step, old.get_state(state), META)
      checkpoints.wait()
      target = new.target(jax.eval_shape(_state))
      restored = checkpoints.restore(target).state
      # Where the step wants it: placing it copies nothing.
      for x, wanted in zip(
        *map(jax.tree.leaves, (restored, target)), strict=True
      ):
        assert x.sharding.is_equivalent_to(wanted.sharding, x.ndim)
      state = new.put_state(restored)
      chex.assert_trees_all_equal(_plain(state), _plain(_state()))
  assert state['params']['big'].addressable_shards[0].data.shape == (8, 64)


@pytest.mark.parametrize('word', ['key', 'teacher', 'average', 'slow'])
def test_every_former_word_for_the_slow_network_is_read(word, tmp_path):
  def state(name, slow):
    return {'method_state': {name: {'params': slow}, 'stats': jnp.zeros(2)}}

  with _opened(tmp_path) as checkpoints:
    checkpoints.save(1, state(word, jnp.arange(3.0)), META)
    checkpoints.wait()
    abstract = MODE.target(jax.eval_shape(lambda: state('slow', jnp.zeros(3))))
    restored = checkpoints.restore(abstract).state
  chex.assert_trees_all_equal(restored, state('slow', jnp.arange(3.0)))


def test_donated_buffers_do_not_reach_the_file(tmp_path):
  mode = modes.make_mode('jit', num_devices=2)
  step = mode.compile(
    lambda state, batch: (jax.tree.map(lambda x: x * 0, state), {})
  )
  numbers = {'a': jnp.arange(1e5)}
  state = mode.put_state(numbers)
  with _opened(tmp_path) as checkpoints:
    checkpoints.save(1, mode.get_state(state), META)
    step(state, None)  # overwrites the buffers while the save is under way
    checkpoints.wait()
    restored = checkpoints.restore(jax.eval_shape(lambda: numbers))
  np.testing.assert_array_equal(restored.state['a'], np.arange(1e5))


class TestKeep:
  def _kept(self, directory, steps, **kwargs):
    with _opened(directory, **kwargs) as checkpoints:
      for step in steps:
        checkpoints.save(step, {'a': jnp.float32(step)}, META)
      checkpoints.wait()
      return checkpoints.steps()

  def test_newest_are_kept(self, tmp_path):
    assert self._kept(tmp_path, (1, 2, 3, 4), keep=2) == [3, 4]

  def test_and_those_that_keep_every_divides(self, tmp_path):
    kept = self._kept(tmp_path, (2, 3, 4, 5, 6, 7), keep=1, keep_every=3)
    assert kept == [3, 6, 7]


def test_saving_a_step_again_changes_nothing(copied):
  with _opened(copied) as checkpoints:
    checkpoints.save(2, _state(7), META)
    checkpoints.wait()
    _assert_same(checkpoints.restore(ABSTRACT).state, 2)


class TestDamage:
  """Whatever happens to a checkpoint, the one before it is used."""

  def _falls_back(self, directory, caplog):
    with _opened(directory) as checkpoints, caplog.at_level(logging.WARNING):
      restored = checkpoints.restore_newest_readable(ABSTRACT)
      assert restored.step == 1
      _assert_same(restored.state, 1)
      assert checkpoints.steps() == [1]
      assert f'{directory / "2"} is damaged' in caplog.text
      assert 'using the one before it' in caplog.text
      assert (directory / '2.damaged').is_dir()
      # The run goes on and saves the step anew.
      _save(checkpoints, 2)
      assert checkpoints.steps() == [1, 2]

  @pytest.mark.parametrize(
    'name',
    [
      'meta/metadata',
      'state/_METADATA',
      'state/_sharding',
      'state/manifest.ocdbt',
      'state/array_metadatas/process_0',
    ],
  )
  def test_truncated_description(self, copied, caplog, name):
    path = copied / '2' / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    self._falls_back(copied, caplog)

  @pytest.mark.parametrize('size', [0, 100])
  def test_truncated_arrays(self, copied, caplog, size):
    _truncate_arrays(copied / '2', size)
    self._falls_back(copied, caplog)

  def test_zeros_in_place_of_arrays(self, copied, caplog):
    path = _largest(copied / '2')
    path.write_bytes(bytes(path.stat().st_size))
    self._falls_back(copied, caplog)

  @pytest.mark.parametrize(
    'name', ['state/_METADATA', 'state/d', 'state', 'meta']
  )
  def test_missing(self, copied, caplog, name):
    path = copied / '2' / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    self._falls_back(copied, caplog)

  def test_emptied_directory(self, copied, caplog):
    shutil.rmtree(copied / '2')
    (copied / '2').mkdir()
    self._falls_back(copied, caplog)

  def test_no_traceback_reaches_the_terminal(self, copied, capfd, caplog):
    _truncate_arrays(copied / '2', 100)
    (copied / '2' / 'state' / 'manifest.ocdbt').write_bytes(b'')
    self._falls_back(copied, caplog)
    captured = capfd.readouterr()
    assert 'Traceback' not in captured.out + captured.err

  def test_twice_keeps_both(self, copied, caplog):
    for _ in range(2):
      _truncate_arrays(copied / '2', 0)
      self._falls_back(copied, caplog)
    assert (copied / '2.damaged1').is_dir()

  def test_nothing_readable_is_an_error_and_keeps_all(self, copied):
    for step in ('1', '2'):
      _truncate_arrays(copied / step, 0)
    with (
      _opened(copied) as checkpoints,
      pytest.raises(CheckpointError, match='none of the checkpoints'),
    ):
      checkpoints.restore_newest_readable(ABSTRACT)
    assert {p.name for p in copied.iterdir()} == {'1.damaged', '2.damaged'}

  def test_asking_for_a_damaged_step_is_an_error(self, copied):
    _truncate_arrays(copied / '2', 0)
    with (
      _opened(copied) as checkpoints,
      pytest.raises(CheckpointError, match='2 is damaged'),
    ):
      checkpoints.restore(ABSTRACT, step=2)


class TestProof:
  """What a checkpoint says of itself is compared with what is read."""

  def test_flipped_bits_are_never_restored(self, copied):
    random, found = np.random.default_rng(0), 0
    paths = [p for p in (copied / '2/state').rglob('d/*') if p.is_file()]
    # Names are drawn by the store; the largest file is all but one array.
    paths.sort(key=lambda path: path.stat().st_size)
    chosen = [*paths, *[paths[-1]] * 40]
    with _opened(copied) as checkpoints:
      for path in chosen:
        good = path.read_bytes()
        flipped = bytearray(good)
        flipped[random.integers(len(good))] ^= 1 << random.integers(8)
        path.write_bytes(flipped)
        with contextlib.suppress(CheckpointError):
          # Not all bytes of a file are of an array that is read.
          _assert_same(checkpoints.restore(ABSTRACT, step=2).state, 2)
          found -= 1
        found += 1
        path.write_bytes(good)
    assert found > 35

  def test_arrays_of_another_checkpoint(self, copied, caplog):
    shutil.rmtree(copied / '2/state')
    shutil.copytree(copied / '1/state', copied / '2/state')
    with _opened(copied) as checkpoints, caplog.at_level(logging.WARNING):
      assert checkpoints.restore_newest_readable(ABSTRACT).step == 1
    assert 'is not what was saved' in caplog.text

  def test_copied_step(self, copied, caplog):
    shutil.copytree(copied / '1', copied / '9')
    with _opened(copied) as checkpoints, caplog.at_level(logging.WARNING):
      assert checkpoints.restore_newest_readable(ABSTRACT).step == 2
      assert checkpoints.steps() == [1, 2]
    assert 'it is the checkpoint of step 1' in caplog.text

  def test_edited_description(self, copied):
    path = copied / '2/meta/metadata'
    path.write_text(path.read_text().replace('fingerprint', 'fingerprinT'))
    with (
      _opened(copied) as checkpoints,
      pytest.raises(CheckpointError, match='description is not what was'),
    ):
      checkpoints.restore(ABSTRACT, step=2)

  def test_earlier_versions_had_none_and_are_read_with_a_warning(
    self, copied, caplog
  ):
    path = copied / '2/meta/metadata'
    path.write_text(json.dumps(META))
    with _opened(copied) as checkpoints, caplog.at_level(logging.WARNING):
      restored = checkpoints.restore_newest_readable(ABSTRACT)
    assert (restored.step, restored.meta, restored.proved) == (2, META, False)
    _assert_same(restored.state, 2)
    warnings = [r for r in caplog.records if r.name.startswith('jaxssl')]
    assert ['without checksums' in r.getMessage() for r in warnings] == [True]

  def test_a_shared_state_is_proved_in_its_parts(self, tmp_path, caplog):
    shared = modes.Jit(modes.make_mesh(fsdp=None), smallest=64)
    with _opened(tmp_path) as checkpoints:
      checkpoints.save(1, shared.put_state(_state()), META)
      checkpoints.wait()
      assert checkpoints.restore(ABSTRACT).proved
    meta = json.loads((tmp_path / '1/meta/metadata').read_text())
    assert len(meta['proof']['arrays']['params.big']) == 8


def _largest(directory):
  files = [p for p in directory.rglob('*') if p.is_file()]
  in_use = [p for p in files if 'd' in p.parts]
  return max(in_use, key=lambda p: p.stat().st_size)


def _truncate_arrays(directory, size):
  path = _largest(directory)
  path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize(
  'name', ['run[1]', 'run*', 'a?/checkpoints', 'caf\udce9']
)
def test_name_that_cannot_hold_checkpoints_is_refused_at_once(name, tmp_path):
  with pytest.raises(UserError, match='choose another name'):
    Checkpoints(tmp_path / name)
  assert not list(tmp_path.iterdir())


def test_nothing_saved_yet(tmp_path):
  with _opened(tmp_path) as checkpoints:
    assert checkpoints.restore_newest_readable(ABSTRACT) is None
    with pytest.raises(CheckpointError, match='there are: none'):
      checkpoints.restore(ABSTRACT)


def test_unknown_step_names_those_there_are(saved):
  with (
    _opened(saved) as checkpoints,
    pytest.raises(CheckpointError, match=r'of step 5 .*there are: \[1, 2\]'),
  ):
    checkpoints.restore(ABSTRACT, step=5)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'new': jnp.zeros(2)}, "has no array 'new'"),
    ({'mask': ()}, "has an array 'mask'"),
    ({'half': jnp.zeros(4, jnp.bfloat16)}, r"'half' is bfloat16\(3,\).*\(4,\)"),
    ({'half': jnp.zeros(3)}, r"'half' is bfloat16\(3,\).*needs float32\(3,\)"),
  ],
)
def test_checkpoint_of_something_else_is_refused_and_left_alone(
  saved, change, message
):
  other = jax.eval_shape(lambda: {**_state(), **change})
  with _opened(saved) as checkpoints:
    with pytest.raises(CheckpointMismatchError, match=message):
      checkpoints.restore_newest_readable(other)
    assert checkpoints.steps() == [1, 2]


def test_interrupted_save_is_ignored_and_written_over(copied):
  (copied / '2').rename(copied / '3.orbax-checkpoint-tmp')
  with _opened(copied) as checkpoints:
    assert checkpoints.restore_newest_readable(ABSTRACT).step == 1
    _save(checkpoints, 3)
    assert checkpoints.steps() == [1, 3]
    _assert_same(checkpoints.restore(ABSTRACT).state, 3)


class TestFailedSave:
  def test_folder_that_cannot_be_made(self, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(CheckpointError, match='could not open'):
      Checkpoints(tmp_path / 'file' / 'checkpoints')

  def test_folder_gone(self, tmp_path):
    directory = tmp_path / 'checkpoints'
    with _opened(directory) as checkpoints:
      _save(checkpoints, 1)
      shutil.rmtree(directory)
      directory.write_text('in the way')
      with pytest.raises(CheckpointError, match='could not save'):
        _save(checkpoints, 2)

  # Orbax's own threads complain after the error that it raises.
  @pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
  def test_disk_full_leaves_the_last_good_one(self, copied):
    with _opened(copied) as checkpoints:
      with (
        _files_up_to(4096),
        pytest.raises(CheckpointError, match=r'could not save.*: step 2'),
      ):
        _save(checkpoints, 3)
      assert checkpoints.restore_newest_readable(ABSTRACT).step == 2
      _save(checkpoints, 3)  # there is room again
      assert checkpoints.steps() == [1, 2, 3]


@contextlib.contextmanager
def _files_up_to(size):
  """Writing more into a file fails, as on a full disk."""
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
