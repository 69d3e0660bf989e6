import pytest

from tests.launch.conftest import ROOT

SCRIPT = 'launch/tpu_vm.sh'
SLICE = {
  'TPU_NAME': 'mae',
  'ZONE': 'us-central1-a',
  'ACCELERATOR_TYPE': 'v5litepod-16',
  'RUNTIME_VERSION': 'v2-alpha-tpuv5-lite',
  'RETRY_SECONDS': '0',
}
ARGUMENTS = ('--config', 'configs/a.py', '--workdir', 'a b')


def test_create(fakes):
  fakes.add('gcloud')
  assert fakes.run(SCRIPT, 'create', **SLICE, SPOT='1').returncode == 0
  (call,) = fakes.calls
  assert call == (
    'gcloud compute tpus tpu-vm create mae --zone us-central1-a '
    '--version v2-alpha-tpuv5-lite --accelerator-type v5litepod-16 --spot'
  )


def test_create_queued(fakes):
  fakes.add('gcloud')
  fakes.run(SCRIPT, 'create', **SLICE, QUEUED='1', PROJECT='p')
  (call,) = fakes.calls
  assert 'queued-resources create mae ' in call
  assert '--node-id mae' in call
  assert '--project p' in call
  assert '--spot' not in call


def test_run_is_on_all_workers_and_keeps_arguments_apart(fakes):
  fakes.add('gcloud')
  fakes.run(SCRIPT, 'run', *ARGUMENTS, **SLICE)
  text = '\n'.join(fakes.calls)
  assert '--worker=all' in text
  worker = './launch/tpu_worker.sh --config configs/a.py --workdir a\\ b'
  assert worker in text


def test_setup_sends_the_checkout(fakes):
  fakes.add('gcloud')
  fakes.add('git')
  assert fakes.run(SCRIPT, 'setup', **SLICE).returncode == 0
  text = '\n'.join(fakes.calls)
  assert text.index('git archive') < text.index('tpu-vm scp')
  assert 'mae:jaxssl.tar' in text
  assert '.[data,tpu]' in text


@pytest.mark.parametrize('bucket', ['', 'gs://b'])
@pytest.mark.parametrize('command', ['create', 'setup', 'run', 'babysit'])
def test_dry_run_calls_nothing(command, bucket, fakes):
  for name in ('gcloud', 'git', 'rm'):
    fakes.add(name)
  arguments = () if command == 'setup' else ARGUMENTS
  done = fakes.run(
    SCRIPT, '--dry_run', command, *arguments, **SLICE, BUCKET=bucket
  )
  assert done.returncode == 0
  assert done.stdout.startswith(('gcloud ', 'git '))
  assert fakes.calls == []


# States come from a file, one for each time that is asked.
GCLOUD = """
case "$*" in
  *describe*) head -n 1 {states}; sed -i 1d {states} ;;
  *"storage cat"*) cat {result} 2> /dev/null ;;
  *tpu_worker.sh*)
    code=$(head -n 1 {codes})
    sed -i 1d {codes}
    exit "$code"
    ;;
esac
"""


def babysit(fakes, states, codes, **variables):
  for name, lines in (('states', states), ('codes', codes)):
    (fakes.folder / name).write_text(''.join(f'{line}\n' for line in lines))
  paths = {name: fakes.folder / name for name in ('states', 'codes', 'result')}
  fakes.add('gcloud', GCLOUD.format(**paths))
  fakes.add('git')
  done = fakes.run(SCRIPT, 'babysit', *ARGUMENTS, **SLICE, **variables)
  verbs = [
    verb
    for call in fakes.calls
    for verb in ('create', 'delete', 'scp', 'ssh')
    if f'tpu-vm {verb} ' in call or f'queued-resources {verb} ' in call
  ]
  return done.returncode, verbs


def test_babysit_makes_a_slice_and_ends_with_the_run(fakes):
  code, verbs = babysit(fakes, ['', 'CREATING', 'READY'], [0])
  assert code == 0
  assert verbs == ['create', 'scp', 'ssh', 'ssh']


def test_babysit_goes_on_after_preemption(fakes):
  states = ['READY', 'PREEMPTED', '', 'READY']
  code, verbs = babysit(fakes, states, [255, 0])
  assert code == 0
  first = ['scp', 'ssh', 'ssh']
  assert verbs == [*first, 'delete', 'create', *first]


def test_babysit_runs_again_where_it_was_interrupted(fakes):
  code, verbs = babysit(fakes, ['READY', 'READY'], [42, 0])
  assert code == 0
  # Installed once.
  assert verbs == ['scp', 'ssh', 'ssh', 'ssh']


def test_babysit_gives_up_on_a_wrong_command(fakes):
  code, verbs = babysit(fakes, ['READY'], [2])
  assert code == 2
  assert verbs.count('ssh') == 2


def test_babysit_waits_for_a_queued_slice(fakes):
  states = ['', 'ACCEPTED', 'WAITING_FOR_RESOURCES', 'PROVISIONING', 'ACTIVE']
  code, verbs = babysit(fakes, states, [0], QUEUED='1')
  assert code == 0
  assert verbs == ['create', 'scp', 'ssh', 'ssh']


@pytest.mark.parametrize('state', ['SUSPENDED', 'FAILED'])
def test_babysit_asks_again_for_a_queued_slice_that_is_gone(state, fakes):
  states = ['ACTIVE', 'SUSPENDING', state, '', 'ACTIVE']
  code, verbs = babysit(fakes, states, [255, 0], QUEUED='1')
  assert code == 0
  first = ['scp', 'ssh', 'ssh']
  assert verbs == [*first, 'delete', 'create', *first]
  asked = [call for call in fakes.calls if 'describe' in call]
  assert all('queued-resources describe mae' in call for call in asked)
  assert all('value(state.state)' in call for call in asked)


BUCKET = {'QUEUED': '1', 'BUCKET': 'gs://b/runs/'}


def test_create_with_a_bucket_lets_workers_start_by_themselves(fakes):
  kept = fakes.folder / 'startup'
  fakes.add(
    'gcloud', f'all=$*; [[ $* != *startup* ]] || cp "${{all##*=}}" {kept}'
  )
  fakes.add('git')
  done = fakes.run(SCRIPT, 'create', *ARGUMENTS, **SLICE, **BUCKET)
  assert done.returncode == 0
  archive, result, create = (c for c in fakes.calls if c.startswith('gcloud'))
  assert archive.endswith(' gs://b/runs/mae.tar')
  assert result == 'gcloud storage rm gs://b/runs/mae.exit'
  assert 'queued-resources create mae' in create
  assert '--metadata-from-file startup-script=/tmp/' in create
  text = kept.read_text()
  assert text.startswith('#!/usr/bin/env bash\narchive=gs://b/runs/mae.tar\n')
  assert 'set -- --config configs/a.py --workdir a\\ b\n' in text
  assert text.endswith((ROOT / 'launch/tpu_startup.sh').read_text())


@pytest.mark.parametrize(
  ('command', 'more'), [('setup', {}), ('create', BUCKET)]
)
def test_what_lies_in_tmp_has_no_name_that_could_be_guessed(
  command, more, fakes, tmp_path
):
  fakes.add('gcloud')
  fakes.add('git')
  (tmp_path / 'tmp').mkdir()
  arguments = ARGUMENTS if command == 'create' else ()
  for _ in range(2):
    done = fakes.run(
      SCRIPT, command, *arguments, **SLICE, **more, TMPDIR=f'{tmp_path}/tmp'
    )
    assert done.returncode == 0
  archives = [call for call in fakes.calls if call.startswith('git archive')]
  assert len(set(archives)) == 2
  assert all(f'{tmp_path}/tmp/' in call for call in archives)
  assert not list((tmp_path / 'tmp').iterdir())


def test_babysit_with_a_bucket_only_watches(fakes):
  (fakes.folder / 'result').write_text('0\n')
  code, verbs = babysit(fakes, ['', 'SUSPENDED', '', 'ACTIVE'], [], **BUCKET)
  assert code == 0
  assert verbs == ['create', 'delete', 'create']


def test_babysit_with_a_bucket_waits_for_the_end(fakes):
  fakes.add('sleep', f'echo 2 > {fakes.folder}/result')
  code, verbs = babysit(fakes, ['ACTIVE', 'ACTIVE'], [], **BUCKET)
  assert code == 2
  assert verbs == []


def test_startup_script_runs_the_worker_until_the_run_ends(fakes, tmp_path):
  home = tmp_path / 'home'
  fakes.add('gcloud', 'cat > /dev/null')
  for name in ('tar', 'pip', 'sleep'):
    fakes.add(name)
  (home / '.venv/bin').mkdir(parents=True)
  (home / 'launch').mkdir()
  (home / '.venv/bin/pip').symlink_to(fakes.folder / 'pip')
  worker = home / 'launch/tpu_worker.sh'
  worker.write_text(
    f'#!/bin/bash\necho "worker $2" >> {fakes.folder}/calls\n'
    '[ -e again ] && exit 0; touch again; exit 42\n'
  )
  worker.chmod(0o755)
  script = tmp_path / 'startup.sh'
  script.write_text(
    'archive=gs://b/a.tar\nresult=gs://b/a.exit\nset -- --config "a b"\n'
    + (ROOT / 'launch/tpu_startup.sh').read_text()
  )
  done = fakes.run(str(script), JAXSSL_HOME=str(home))
  assert done.returncode == 0, done.stderr
  names = [call.split()[0] for call in fakes.calls]
  assert names == [
    'gcloud',
    'tar',
    'pip',
    'worker',
    'sleep',
    'worker',
    'gcloud',
  ]
  assert 'worker a b' in fakes.calls
  assert fakes.calls[-1] == 'gcloud storage cp - gs://b/a.exit'


@pytest.mark.parametrize(
  ('arguments', 'changes', 'message'),
  [
    (('create',), {'ZONE': ''}, 'set ZONE'),
    (('create',), {'ACCELERATOR_TYPE': 'tpu7x-16'}, 'Compute Engine or GKE'),
    (('start',), {}, "unknown command 'start'"),
    (('run',), {}, 'arguments of jaxssl train'),
    (('babysit',), {}, 'arguments of jaxssl train'),
    (('create',), BUCKET, 'arguments of jaxssl train'),
    (('create',), {'BUCKET': '/b'}, 'give gs://'),
  ],
)
def test_mistakes(arguments, changes, message, fakes):
  fakes.add('gcloud')
  done = fakes.run(SCRIPT, *arguments, **{**SLICE, **changes})
  assert done.returncode == 2
  assert message in done.stderr
  assert fakes.calls == []


def test_delete_of_a_queued_resource_is_forced(fakes):
  fakes.add('gcloud')
  fakes.run(SCRIPT, 'delete', **SLICE, QUEUED='1')
  (call,) = fakes.calls
  assert 'queued-resources delete mae' in call
  assert '--force' in call
