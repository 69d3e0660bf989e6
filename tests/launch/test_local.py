import sys

SCRIPT = 'launch/local.sh'


def test_dry_run_prints_the_command(fakes):
  done = fakes.run(SCRIPT, '--dry_run', '--config', 'a b.py', PYTHON='py')
  wanted = 'env JAX_PLATFORMS=cuda py -m jaxssl train --config a\\ b.py'
  assert done.stdout.strip() == wanted


def test_no_gpu_is_no_silent_cpu(fakes):
  fakes.add('python', 'exit 1')
  done = fakes.run(SCRIPT, '--config', 'a.py', PYTHON='python')
  assert done.returncode == 2
  assert 'PLATFORM=cpu' in done.stderr
  assert not any('train' in call for call in fakes.calls)


def test_trains_on_what_is_there(fakes):
  fakes.add('python')
  done = fakes.run(SCRIPT, '--config', 'a.py', PYTHON='python', PLATFORM='cpu')
  assert done.returncode == 0
  assert fakes.calls[-1] == 'python -m jaxssl train --config a.py'


def test_needs_arguments(fakes):
  done = fakes.run(SCRIPT, PYTHON=sys.executable)
  assert done.returncode == 2
  assert 'jaxssl train' in done.stderr
