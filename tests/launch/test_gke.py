import sys

import pytest

yaml = pytest.importorskip('yaml')

SCRIPT = 'launch/gke.sh'
JOB = {'NAME': 'mae', 'IMAGE': 'images/jaxssl:1', 'PYTHON': sys.executable}
TPU = {**JOB, 'TPU': 'tpu-v5-lite-podslice', 'TOPOLOGY': '4x4'}
TPU |= {'PROCESSES': '4', 'CHIPS': '4'}
GPU = {**JOB, 'GPU': 'nvidia-h100-80gb', 'PROCESSES': '2', 'CHIPS': '8'}
ARGUMENTS = ('--config', 'a "b": c.py', '--workdir', '/runs/mae')


def applied(fakes, variables):
  """The manifest that reaches kubectl."""
  path = fakes.folder / 'manifest'
  fakes.add('kubectl', f'cat > {path}')
  done = fakes.run(SCRIPT, 'create', *ARGUMENTS, **variables)
  assert done.returncode == 0, done.stderr
  assert fakes.calls == ['kubectl apply --filename -']
  return yaml.safe_load(path.read_text())


def job_of(manifest):
  (job,) = manifest['spec']['replicatedJobs']
  return job['template']['spec']


def container_of(manifest):
  (container,) = job_of(manifest)['template']['spec']['containers']
  return container


@pytest.mark.parametrize('variables', [TPU, GPU], ids=['tpu', 'gpu'])
def test_one_pod_a_process_runs_the_command(variables, fakes):
  manifest = applied(fakes, variables)
  assert manifest['kind'] == 'JobSet'
  job, container = job_of(manifest), container_of(manifest)
  count = int(variables['PROCESSES'])
  assert job['completions'] == job['parallelism'] == count
  assert job['completionMode'] == 'Indexed'
  assert container['command'] == ['python', '-m', 'jaxssl', 'train']
  assert container['args'] == list(ARGUMENTS)
  assert container['image'] == 'images/jaxssl:1'
  (claim,) = (
    volume['persistentVolumeClaim']['claimName']
    for volume in job['template']['spec']['volumes']
    if 'persistentVolumeClaim' in volume
  )
  assert claim == 'jaxssl-runs'


@pytest.mark.parametrize('variables', [TPU, GPU], ids=['tpu', 'gpu'])
def test_exit_codes(variables, fakes):
  manifest = applied(fakes, variables)
  job = job_of(manifest)
  actions = {
    rule['onExitCodes']['values'][0]: rule['action']
    for rule in job['podFailurePolicy']['rules']
    if 'onExitCodes' in rule
  }
  # 2 ends everything, 42 costs nothing; anything else restarts all pods.
  assert actions == {2: 'FailJob', 42: 'Ignore'}
  assert job['backoffLimit'] == 0
  assert job['template']['spec']['restartPolicy'] == 'Never'
  policy = manifest['spec']['failurePolicy']
  assert policy['maxRestarts'] == 20
  (rule,) = policy['rules']
  assert rule['action'] == 'FailJobSet'
  assert rule['onJobFailureReasons'] == ['PodFailurePolicy']


def test_tpu_pods_are_placed_on_a_slice_of_their_own(fakes):
  manifest = applied(fakes, TPU)
  pod = job_of(manifest)['template']['spec']
  assert pod['nodeSelector'] == {
    'cloud.google.com/gke-tpu-accelerator': 'tpu-v5-lite-podslice',
    'cloud.google.com/gke-tpu-topology': '4x4',
  }
  limits = container_of(manifest)['resources']['limits']
  assert limits == {'google.com/tpu': 4}
  assert manifest['metadata']['annotations']
  # Which process is which follows from the place in the slice.
  names = {each['name'] for each in container_of(manifest)['env']}
  assert names == {'JAX_PLATFORMS'}


def test_gpu_pods_find_each_other_by_name(fakes):
  manifest = applied(fakes, GPU)
  container = container_of(manifest)
  environment = {each['name']: each for each in container['env']}
  address = environment['JAX_COORDINATOR_ADDRESS']['value']
  (job,) = manifest['spec']['replicatedJobs']
  name = manifest['metadata']['name']
  assert address == f'{name}-{job["name"]}-0-0.{name}:8476'
  assert environment['JAX_NUM_PROCESSES']['value'] == '2'
  assert 'valueFrom' in environment['JAX_PROCESS_ID']
  assert container['resources']['limits'] == {'nvidia.com/gpu': 8}


def test_dry_run_prints_what_it_would_apply(fakes):
  fakes.add('kubectl')
  done = fakes.run(SCRIPT, '--dry_run', 'create', *ARGUMENTS, **GPU)
  first, _, manifest = done.stdout.partition('\n')
  assert first.strip() == 'kubectl apply --filename -'
  assert container_of(yaml.safe_load(manifest))['args'] == list(ARGUMENTS)
  assert fakes.calls == []


@pytest.mark.parametrize(
  ('command', 'wanted'),
  [
    ('status', 'kubectl get jobset mae'),
    ('delete', 'kubectl delete jobset mae'),
    ('logs', 'kubectl logs --follow --prefix --selector'),
  ],
)
def test_other_commands(command, wanted, fakes):
  fakes.add('kubectl')
  assert fakes.run(SCRIPT, command, **JOB).returncode == 0
  assert fakes.calls[0].startswith(wanted)


@pytest.mark.parametrize(
  ('arguments', 'changes', 'message'),
  [
    (('create', 'x'), {'NAME': ''}, 'set NAME'),
    (('create', 'x'), {'IMAGE': ''}, 'set IMAGE'),
    (('create', 'x'), {'GPU': ''}, 'either TPU (and TOPOLOGY) or GPU'),
    (('create', 'x'), {'TPU': 'a'}, 'either TPU (and TOPOLOGY) or GPU'),
    (('create', 'x'), {'TPU': 'a', 'GPU': ''}, 'set TOPOLOGY'),
    (('create',), {}, 'arguments of jaxssl train'),
    (('start',), {}, "unknown command 'start'"),
  ],
)
def test_mistakes(arguments, changes, message, fakes):
  fakes.add('kubectl')
  done = fakes.run(SCRIPT, *arguments, **{**GPU, **changes})
  assert done.returncode == 2
  assert message in done.stderr
  assert fakes.calls == []
