"""How much memory a run has taken."""

import resource
import sys

import jax


def peak_bytes() -> tuple[int, str]:
  """Returns the most bytes that were in use, and of what.

  Of the fullest local device where it counts them, else of this process on the
  host, which on CPUs holds everything.
  """
  stats = [device.memory_stats() or {} for device in jax.local_devices()]
  peaks = [s['peak_bytes_in_use'] for s in stats if 'peak_bytes_in_use' in s]
  if peaks:
    return max(peaks), 'of a device'
  # In KiB, but in bytes on macOS.
  unit = 1 if sys.platform == 'darwin' else 1024
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
  return peak, 'of this process'
