import pytest

SCRIPT = 'launch/tpu_worker.sh'


def run(fakes, *, held='', lock=True, code=0):
  """Runs the script beside a lock file; returns what came of it."""
  path = fakes.folder / 'lock'
  if lock:
    path.touch()
  fakes.add('python', f'exit {code}')
  fakes.add('sudo', '"$@"')
  fakes.add('lsof', f'echo {held}; [ -n "{held}" ]')
  fakes.add('tee', 'cat')
  done = fakes.run(
    SCRIPT, '--config', 'a b.py', PYTHON='python', LIBTPU_LOCKFILE=str(path)
  )
  return done, path.exists()


def trained(fakes):
  return 'python -m jaxssl train --config a b.py' in fakes.calls


def test_a_stale_lock_file_is_removed(fakes):
  done, is_there = run(fakes)
  assert done.returncode == 0
  assert not is_there
  assert trained(fakes)


def test_a_held_lock_file_stays(fakes):
  done, is_there = run(fakes, held='4711')
  # Not 2: it may be free a minute later.
  assert done.returncode == 1
  assert 'held by process(es) 4711' in done.stderr
  assert is_there
  assert not trained(fakes)


def test_without_a_lock_file_nobody_is_asked(fakes):
  done, _ = run(fakes, lock=False)
  assert done.returncode == 0
  assert not any(call.startswith('lsof') for call in fakes.calls)


@pytest.mark.parametrize('code', [1, 2, 42])
def test_the_exit_code_is_that_of_the_run(code, fakes):
  done, _ = run(fakes, lock=False, code=code)
  assert done.returncode == code


def test_dry_run_calls_nothing(fakes):
  fakes.add('env')
  done = fakes.run(SCRIPT, '--dry_run', '--config', 'a b.py', PYTHON='py')
  wanted = 'env JAX_PLATFORMS=tpu py -m jaxssl train --config a\\ b.py'
  assert done.stdout.strip() == wanted


def test_needs_arguments(fakes):
  done = fakes.run(SCRIPT)
  assert done.returncode == 2
  assert 'jaxssl train' in done.stderr
