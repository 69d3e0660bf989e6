import pytest

SCRIPT = 'launch/slurm.sbatch'
JOB = {'SLURM_JOB_ID': '7', 'PYTHON': 'py'}


@pytest.mark.parametrize(
  ('code', 'requeued'), [(0, False), (1, False), (2, False), (42, True)]
)
def test_only_a_saved_run_goes_back_into_the_queue(code, requeued, fakes):
  fakes.add('srun', f'exit {code}')
  fakes.add('scontrol')
  done = fakes.run(SCRIPT, '--config', 'a.py', **JOB)
  assert done.returncode == code
  assert fakes.calls[0].endswith('py -m jaxssl train --config a.py')
  assert ('scontrol requeue 7' in fakes.calls) == requeued


def test_dry_run_calls_nothing(fakes):
  fakes.add('srun')
  fakes.add('scontrol')
  done = fakes.run(SCRIPT, '--dry_run', '--config', 'a.py', **JOB)
  first, second = done.stdout.splitlines()
  assert first.startswith('srun --kill-on-bad-exit=0 env JAX_PLATFORMS=cuda py')
  assert second.strip() == 'scontrol requeue 7'
  assert fakes.calls == []


def test_needs_arguments(fakes):
  done = fakes.run(SCRIPT, **JOB)
  assert done.returncode == 2
  assert 'jaxssl train' in done.stderr


def test_a_signal_to_the_script_waits_for_the_run(fakes):
  """A preempted job's SIGTERM may reach the script before the run has saved."""
  fakes.add('srun', 'kill -TERM $PPID; sleep 0.2; exit 42')
  fakes.add('scontrol')
  done = fakes.run(SCRIPT, '--config', 'a.py', **JOB)
  assert done.returncode == 42
  assert 'scontrol requeue 7' in fakes.calls
