"""Fills in `gke_jobset.yaml` from the environment, for `gke.sh`.

The arguments are those of `jaxssl train`. Only the standard library is needed.
"""

import json
import os
import pathlib
import string
import sys

TEMPLATE = pathlib.Path(__file__).with_name('gke_jobset.yaml')
PORT = 8476


def rendered(values, arguments):
  """Returns the manifest.

  Args:
    values: NAME, IMAGE, PROCESSES, CHIPS, TPU and TOPOLOGY or GPU, and, if they
      are not the usual, CLAIM and MAX_RESTARTS.
    arguments: of `jaxssl train`.
  """
  parts = _tpu(values) if values.get('TPU') else _gpu(values)
  # JSON is YAML: whatever stands in an argument stays in it.
  parts = {name: json.dumps(part) for name, part in parts.items()}
  defaults = {'CLAIM': 'jaxssl-runs', 'MAX_RESTARTS': '20'}
  return string.Template(TEMPLATE.read_text()).substitute(
    {**defaults, **values, **parts, 'ARGUMENTS': json.dumps(arguments)}
  )


def _tpu(values):
  return {
    'RESOURCE': 'google.com/tpu',
    'NODE_SELECTOR': {
      'cloud.google.com/gke-tpu-accelerator': values['TPU'],
      'cloud.google.com/gke-tpu-topology': values['TOPOLOGY'],
    },
    # A slice is a node pool, and is not shared.
    'ANNOTATIONS': {
      'alpha.jobset.sigs.k8s.io/exclusive-topology': (
        'cloud.google.com/gke-nodepool'
      )
    },
    # GKE tells each pod its place in the slice, and JAX reads that.
    'ENV': [{'name': 'JAX_PLATFORMS', 'value': 'tpu'}],
  }


def _gpu(values):
  index = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
  first = '{NAME}-w-0-0.{NAME}'.format(**values)
  return {
    'RESOURCE': 'nvidia.com/gpu',
    'NODE_SELECTOR': {'cloud.google.com/gke-accelerator': values['GPU']},
    'ANNOTATIONS': {},
    'ENV': [
      {'name': 'JAX_PLATFORMS', 'value': 'cuda'},
      {'name': 'JAX_COORDINATOR_ADDRESS', 'value': f'{first}:{PORT}'},
      {'name': 'JAX_NUM_PROCESSES', 'value': values['PROCESSES']},
      {
        'name': 'JAX_PROCESS_ID',
        'valueFrom': {'fieldRef': {'fieldPath': index}},
      },
    ],
  }


if __name__ == '__main__':
  print(rendered(os.environ, sys.argv[1:]), end='')
