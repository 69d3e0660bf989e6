import pytest

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
    '--accelerator-type v5litepod-16 --version v2-alpha-tpuv5-lite --spot'
  )


def test_create_queued(fakes):
  fakes.add('gcloud')
  fakes.run(SCRIPT, 'create', **SLICE, QUEUED='1', PROJECT='p')
  (call,) = fakes.calls
  assert 'queued-resources create mae --node-id mae' in call
  assert '--project p' in call
  assert '--spot' not in call


def test_run_is_on_all_workers_and_keeps_arguments_apart(fakes):
  fakes.add('gcloud')
  fakes.run(SCRIPT, 'run', *ARGUMENTS, **SLICE)
  text = '\n'.join(fakes.calls)
  assert '--worker=all' in text
  assert 'jaxssl train --config configs/a.py --workdir a\\ b' in text
  assert 'JAX_PLATFORMS=tpu' in text


def test_setup_sends_the_checkout(fakes):
  fakes.add('gcloud')
  fakes.add('git')
  assert fakes.run(SCRIPT, 'setup', **SLICE).returncode == 0
  text = '\n'.join(fakes.calls)
  assert text.index('git archive') < text.index('tpu-vm scp')
  assert 'mae:jaxssl.tar' in text
  assert '.[data,tpu]' in text


@pytest.mark.parametrize('command', ['create', 'setup', 'run', 'babysit'])
def test_dry_run_calls_nothing(command, fakes):
  for name in ('gcloud', 'git', 'rm'):
    fakes.add(name)
  arguments = ARGUMENTS if command in ('run', 'babysit') else ()
  done = fakes.run(SCRIPT, '--dry_run', command, *arguments, **SLICE)
  assert done.returncode == 0
  assert done.stdout.startswith(('gcloud ', 'git '))
  assert fakes.calls == []


# States come from a file, one for each time that is asked.
GCLOUD = """
case "$*" in
  *describe*) head -n 1 {states}; sed -i 1d {states} ;;
  *"jaxssl train"*)
    code=$(head -n 1 {codes})
    sed -i 1d {codes}
    exit "$code"
    ;;
esac
"""


def babysit(fakes, states, codes):
  for name, lines in (('states', states), ('codes', codes)):
    (fakes.folder / name).write_text(''.join(f'{line}\n' for line in lines))
  paths = {name: fakes.folder / name for name in ('states', 'codes')}
  fakes.add('gcloud', GCLOUD.format(**paths))
  fakes.add('git')
  done = fakes.run(SCRIPT, 'babysit', *ARGUMENTS, **SLICE)
  verbs = [
    verb
    for call in fakes.calls
    for verb in ('create', 'delete', 'scp', 'ssh')
    if f'tpu-vm {verb} ' in call
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


@pytest.mark.parametrize(
  ('arguments', 'changes', 'message'),
  [
    (('create',), {'ZONE': ''}, 'set ZONE'),
    (('create',), {'ACCELERATOR_TYPE': 'tpu7x-16'}, 'Compute Engine or GKE'),
    (('start',), {}, "unknown command 'start'"),
    (('run',), {}, 'arguments of jaxssl train'),
    (('babysit',), {}, 'arguments of jaxssl train'),
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
