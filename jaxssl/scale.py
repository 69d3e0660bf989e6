"""Numbers of a run that follow from its data and the device it runs on.

Rules of thumb, none of them measured as a whole. What they give is written into
the config of the run, and every number can be set.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

import jax
import numpy as np

from jaxssl import data
from jaxssl.data import measured, survey
from jaxssl.data.measured import Measured
from jaxssl.data.source import Source

# So many headers tell how large the pictures are.
_HEADERS = 64
# Below it pictures are few, and heads, queues and text towers get smaller.
FEW = 50_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
  """What is known of data and device before a run.

  Attributes:
    num_pictures: n, of the training split.
    side: median of the shorter sides in pixels; 0 if unknown.
    num_classes: 0 without labels.
    on_accelerator: whether there is a GPU or a TPU.
    num_devices: devices of all processes.
    measured: the channels, of pictures that 8-bit RGB would not hold.
  """

  num_pictures: int
  side: int
  num_classes: int
  on_accelerator: bool
  num_devices: int
  measured: Measured | None = None


def look(
  section: Mapping[str, Any], inputs: Mapping[str, Any] | None = None
) -> Facts:
  """Returns the facts of the data of a section, and of the devices here.

  Args:
    section: section `data` of a config.
    inputs: what is said of section `input`: with `channels`, pictures are read
      so, and not as they are recognised.

  Raises:
    UserError: if the data cannot be read.
  """
  source = data.make_source(**section)
  return Facts(
    num_pictures=source.num_examples,
    side=side_of(source),
    num_classes=len(source.class_names or ()),
    on_accelerator=jax.default_backend() != 'cpu',
    num_devices=jax.device_count(),
    measured=_channels(source, inputs or {}),
  )


def _channels(source: Source, inputs: Mapping[str, Any]) -> Measured | None:
  value_range = inputs.get('value_range')
  if 'channels' in inputs:
    channels = inputs['channels']
  else:
    channels = measured.recognise(source)
  if channels is None:
    return None
  return measured.measure(source, channels, value_range)


def side_of(source: Source) -> int:
  """Returns the median of the shorter sides of some pictures; 0 if unknown."""
  shorter = survey.sizes(source, limit=_HEADERS).min(axis=1)
  known = shorter[shorter > 0]
  return int(np.median(known)) if known.size else 0


def image_size(facts: Facts, patch: int) -> int:
  """Returns the side of the views: of the pictures, but at most 224.

  On a CPU at most 96, where a step takes a fifth of the time.

  Args:
    facts: what is known of data and device.
    patch: side that must divide it.
  """
  most = 224 if facts.on_accelerator else 96
  side = min(most, facts.side or most)
  return max(side // patch, 32 // patch, 1) * patch


def batch_size(facts: Facts) -> int:
  """Returns 256, or 64 on a CPU, but never more than there are pictures."""
  most = 256 if facts.on_accelerator else 64
  batch = min(most, _power_of_two(facts.num_pictures))
  devices = facts.num_devices
  return batch // devices * devices or batch


def epochs(facts: Facts, *, size: int) -> float:
  """Returns how often the pictures are seen.

  100 times if there are 10,000 or more, more often if there are fewer, as the
  square root; on a CPU it is a first look of at most 16,000 pictures, or of
  64,000 small ones.

  Args:
    facts: what is known of data and device.
    size: side of the views.
  """
  count = facts.num_pictures
  passes = 100 * max(1.0, (10_000 / count) ** 0.5)
  if not facts.on_accelerator:
    passes = min(passes, (64_000 if size <= 40 else 16_000) / count)
  return float(round(passes)) if passes >= 10 else round(passes, 2)


def intervals(facts: Facts, num_steps: int, *, size: int) -> dict[str, Any]:
  """Returns sections `train` and `eval`: what happens every so many steps.

  A checkpoint and a look at the features ten times in a run, and at least
  every few minutes.

  Args:
    facts: what is known of data and device.
    num_steps: number of steps of the run.
    size: side of the views in pixels.
  """
  most = 1000 if facts.on_accelerator else 250 if size <= 40 else 25
  every = min(max(num_steps // 10, 10), most)
  log = min(max(num_steps // 50, 5), 50)
  limit = {} if facts.on_accelerator else {'limit': 1000}
  return {
    'train': {'checkpoint_steps': every, 'log_steps': log},
    'eval': {'steps': every, **limit},
  }


def momentum(published: float, num_steps: int) -> float:
  """Returns how slowly a second network follows: within a fifth of the run."""
  return min(published, max(0.9, round(1 - 5 / num_steps, 4)))


def queue_size(published: int, facts: Facts, batch: int) -> int:
  """Returns a length of MoCo's queue in which no picture stands twice.

  Args:
    published: length in the paper.
    facts: what is known of data and device.
    batch: images in the global batch.
  """
  most = max(_power_of_two(facts.num_pictures // 2), batch)
  return min(published, most // batch * batch)


def decoder(dim: int) -> dict[str, int]:
  """Returns MAE's decoder for an encoder of a width: 512 wide for ViT-B."""
  heads = min(max(dim * 2 // 3 // 32, 1), 16)
  return {
    'decoder_dim': 32 * heads,
    'decoder_heads': heads,
    'decoder_depth': 8 if dim >= 768 else 4,
  }


def _power_of_two(most: int) -> int:
  return 1 << max(most, 1).bit_length() - 1
