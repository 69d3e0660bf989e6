"""TPU slices that are not there, for the compiler in libtpu.

libtpu (`pip install "jaxssl[tpu]"`) needs no TPU.
"""

import importlib.util
import os
from typing import Any

from jax.experimental import topologies

from jaxssl.errors import UserError
from jaxssl.planning import chips
from jaxssl.planning.target import Target


def slice_of(topology: str) -> Target:
  """Returns the chips of a slice such as `'v5e:4x4'`.

  Raises:
    UserError: if libtpu is not installed, or if it knows no such slice.
  """
  options: dict[str, Any] = {'chips_per_host_bounds': _host_bounds(topology)}
  if chips.tpu_of(topology).cores == 2:
    # A TPU that is there does so by itself; here v4 would be a device a core.
    options['chip_config_name'] = 'megacore'
  # Else it looks for the metadata of a machine that has TPUs, for minutes.
  os.environ.setdefault('TPU_SKIP_MDS_QUERY', '1')
  # Nor does it need a chip, of which else one process at a time is allowed.
  os.environ.setdefault('ALLOW_MULTIPLE_LIBTPU_LOAD', '1')
  try:
    found = topologies.get_topology_desc(
      platform='tpu', topology_name=topology, **options
    )
  except Exception as error:  # of many types
    raise UserError(f'{topology}: {_why_not(error)}') from error
  return Target(name=topology, devices=tuple(found.devices))


def _host_bounds(topology: str) -> list[int]:
  """Returns the chips of a host along each side of the slice.

  Left to itself, the compiler of some releases takes 2 x 2 chips for a host of
  any slice, and refuses those that have only one chip along a side.
  """
  sides = [int(side) for side in topology.partition(':')[2].split('x')]
  return [min(side, 2) for side in sides[:2]] + [1]


def _why_not(error: Exception) -> str:
  if importlib.util.find_spec('libtpu') is None:
    return 'there is no compiler for TPUs; pip install "jaxssl[tpu]"'
  first = str(error).splitlines()[0]
  return f'libtpu refuses it ({first}); give a slice that exists'
