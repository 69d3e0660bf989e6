import pytest

from tests.launch.conftest import ROOT

yaml = pytest.importorskip('yaml')


@pytest.fixture
def task():
  return yaml.safe_load((ROOT / 'launch/skypilot.yaml').read_text())


def test_only_a_saved_run_is_recovered(task):
  recovery = task['resources']['job_recovery']
  assert recovery == {
    'recover_on_exit_codes': [42],
    'max_restarts_on_errors': 0,
  }


def test_the_bucket_is_where_the_runs_are(task):
  assert task['file_mounts']['/runs'] == {'name': '${BUCKET}', 'mode': 'MOUNT'}
  # Asked for, as they have no value.
  assert task['envs'] == {'BUCKET': None, 'ARGUMENTS': None}


PRINTED = 'env | grep ^JAX_ | sort; printf "%s\\n" "$@"'


def run(task, fakes, **variables):
  """Runs what a node runs; returns the lines that its program prints."""
  folder = fakes.folder / '.venv/bin'
  folder.mkdir(parents=True)
  fakes.add('python', PRINTED)
  (folder / 'python').symlink_to(fakes.folder / 'python')
  script = fakes.folder / 'run.sh'
  script.write_text(f'cd {fakes.folder}\n{task["run"]}')
  done = fakes.run(
    str(script), ARGUMENTS='--config "a b.py" --workdir /runs/a', **variables
  )
  assert done.returncode == 0, done.stderr
  return done.stdout.splitlines()


def test_one_node_needs_no_coordinator(task, fakes):
  lines = run(task, fakes, SKYPILOT_NUM_NODES='1')
  assert not [line for line in lines if line.startswith('JAX_COORDINATOR')]
  assert 'JAX_PLATFORMS=cuda' in lines
  assert lines[-7:] == [
    *('-m', 'jaxssl', 'train', '--config', 'a b.py', '--workdir', '/runs/a')
  ]


def test_several_nodes_join_the_first(task, fakes):
  lines = run(
    task,
    fakes,
    SKYPILOT_NUM_NODES='2',
    SKYPILOT_NODE_RANK='1',
    SKYPILOT_NODE_IPS='10.0.0.1\n10.0.0.2',
  )
  assert 'JAX_COORDINATOR_ADDRESS=10.0.0.1:8476' in lines
  assert 'JAX_NUM_PROCESSES=2' in lines
  assert 'JAX_PROCESS_ID=1' in lines
