"""Which side of a training loop is the bottleneck, and what to change.

Pure functions of measured numbers: every sentence follows from some of them and
quotes them.
"""

import dataclasses
from typing import Literal

from jaxssl.planning.speed import Rate, StepSpeed

Side = Literal['input', 'step', 'both', 'processor']

# Rates of one machine differ by so much from minute to minute.
_NOISE = 0.1
_BUSY = 0.8
_WAITS = 0.05
# Share of the input's processor time from which on a part of it is what to
# change first.
_DOMINATES = 0.5
# The usual margin of stored pictures over their crops: 256 for 224.
_MARGIN = 256 / 224


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
  """What the numbers were measured with.

  Attributes:
    batch_size: rows of the global batch.
    platform: `'cpu'`, `'gpu'`, `'tpu'`.
    num_devices: that the rows are spread over.
    num_cores: that this process may use.
    num_threads: that decode.
    prefetch: batches held ready.
    crop: `'host'` or `'device'`.
    views: sides of the crops of a picture, in pixels.
    image_size: side of the pictures that are sent with `crop='device'`.
    stored: mean height and width of the encoded pictures; None for pixels.
    dtype: that the encoder computes in.
    remat: whether it computes activations twice.
    resize_seconds: processor time in which Pillow resizes the crops of a
      picture; None where it does not, or no other could.
  """

  batch_size: int
  platform: str
  num_devices: int
  num_cores: int
  num_threads: int
  prefetch: int
  crop: str
  views: tuple[int, ...]
  image_size: int
  stored: tuple[float, float] | None
  dtype: str
  remat: bool
  resize_seconds: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
  """What was measured; None for what was not asked for.

  Attributes:
    input: the pipeline alone.
    step: the step alone.
    loop: both together.
  """

  input: Rate | None = None
  step: StepSpeed | None = None
  loop: Rate | None = None


def bottleneck(measured: Measured, setting: Setting) -> Side | None:
  """Names the slower side.

  Returns:
    `'input'` or `'step'`; `'both'` if they are equally fast within a tenth;
    `'processor'` if both run on the cores of this machine, neither for next to
    nothing, and together fall short of either; None where a side was not
    measured.
  """
  if measured.input is None or measured.step is None:
    return None
  made = measured.input.images_per_second
  used = measured.step.rate.images_per_second
  slower = min(made, used)
  loop = measured.loop
  if setting.platform == 'cpu' and loop is not None:
    costs = _processor_ms(measured.input, measured.step.rate)
    both_cost = min(costs) > _NOISE * sum(costs)
    if both_cost and loop.images_per_second < (1 - _NOISE) * slower:
      return 'processor'
  if slower >= (1 - _NOISE) * max(made, used):
    return 'both'
  return 'input' if made < used else 'step'


def verdict(measured: Measured, setting: Setting) -> str:
  """Says in a sentence what the numbers mean."""
  side = bottleneck(measured, setting)
  if measured.input is None or measured.step is None or side is None:
    return (
      f'{_one_rate(measured)}; `jaxssl bench both` tells whether that is the '
      'bottleneck'
    )
  made, used = measured.input, measured.step.rate
  each = f'the input makes {_rate(made)}, the step takes {_rate(used)}'
  together = ''
  if measured.loop:
    together = (
      f'; together they reach {_rate(measured.loop)} and wait for input '
      f'{measured.loop.wait:.0%} of the time'
    )
  times = max(_ratio(made, used), _ratio(used, made))
  meaning = {
    'input': f'the input is the bottleneck: it must become {times:.1f} times '
    'as fast to keep up',
    'step': f'the step is the bottleneck: the input could feed {times:.1f} '
    'times as much',
    'both': 'neither side waits much for the other',
    'processor': 'input and step take the processor from each other: '
    + _shares(made, used),
  }[side]
  return f'{each}{together}. {meaning[0].upper()}{meaning[1:]}.'


def _one_rate(measured: Measured) -> str:
  if measured.input is not None:
    return f'the input makes {_rate(measured.input)}'
  if measured.step is not None:
    return f'the step takes {_rate(measured.step.rate)}'
  raise ValueError('neither the input nor the step was measured')


def advice(measured: Measured, setting: Setting) -> list[str]:
  """Returns what to change, what promises most first; may be empty."""
  side = bottleneck(measured, setting)
  made, step = measured.input, measured.step
  found: list[str] = []
  if made and (side in ('input', 'both', 'processor') or step is None):
    found += _of_input(made, measured, setting)
  if step and (side in ('step', 'both', 'processor') or made is None):
    found += _of_step(step, setting)
  return found + _of_loop(side, measured, setting)


def _of_input(rate: Rate, measured: Measured, setting: Setting) -> list[str]:
  busy = rate.cores / setting.num_cores
  less = [*_faster_resizer(rate, setting), *_less_work(setting)]
  if busy < _BUSY:
    return [_idle_cores(rate, setting), *less]
  text = (
    f'{rate.cores:.1f} of {setting.num_cores} cores are busy with the input: '
    'more threads would not help, only less work a picture or more cores'
  )
  if measured.step and setting.platform != 'cpu':
    needed = rate.cores * _ratio(measured.step.rate, rate)
    text += f' (about {needed:.0f} would keep up)'
  return [text, *less]


def _faster_resizer(rate: Rate, setting: Setting) -> list[str]:
  resizing, whole = setting.resize_seconds, rate.cores / rate.images_per_second
  if resizing is None or resizing < _DOMINATES * whole:
    return []
  return [
    f'Pillow takes {1000 * resizing:.2f} of the {1000 * whole:.2f} ms of '
    'processor time of a picture to resize its crops: '
    '--config.input.resizer=cykooz needs about a quarter of that (pip install '
    '"jaxssl[resize]"; pixels differ by rounding)'
  ]


def _idle_cores(rate: Rate, setting: Setting) -> str:
  idle = (
    f'the input keeps only {rate.cores:.1f} of {setting.num_cores} cores busy'
  )
  if setting.num_threads < setting.num_cores:
    return (
      f'{idle} with input.num_threads={setting.num_threads}: set it to '
      f'{setting.num_cores}'
    )
  if setting.stored is None:
    # Records that lie in memory are only gathered, by one thread.
    return f'{idle}: the records are in memory and one thread gathers them'
  return (
    f'{idle}, though {setting.num_threads} threads decode: it waits for '
    'files, unless other programs have the cores; set input.num_threads='
    f'{2 * setting.num_threads}, put the data on a faster disk, or '
    'into fewer and larger files (tar, tfrecord, array_record)'
  )


def _less_work(setting: Setting) -> list[str]:
  if setting.stored is None:
    return []
  found, shorter = [], min(setting.stored)
  host = setting.crop == 'host'
  target = max(setting.views) if host else setting.image_size
  enough = round(target * _MARGIN)
  height, width = setting.stored
  if shorter > 1.2 * enough:
    found.append(
      f'the stored pictures have {width:.0f} x {height:.0f} pixels for images '
      f'of {target}: with a shorter side of {enough} there would be '
      f'{(enough / shorter) ** 2:.0%} of the pixels to decode'
    )
  whole, crops = setting.image_size**2, sum(side**2 for side in setting.views)
  if host and len(setting.views) > 1 and shorter <= 1.5 * setting.image_size:
    found.append(
      f'input.crop=device would resize each picture once instead of '
      f'{len(setting.views)} times and send {whole / crops:.0%} of the bytes'
    )
  if not host and shorter > 2 * setting.image_size:
    found.append(
      'input.crop=host would decode of each picture only the window around '
      'its crops, at full resolution (another augmentation: crops are no '
      'longer cut from the reduced picture)'
    )
  return found


def _of_step(step: StepSpeed, setting: Setting) -> list[str]:
  found = []
  if setting.platform != 'cpu' and setting.dtype == 'float32':
    found.append(
      'the encoder computes in float32: --config.encoder.dtype=bfloat16 '
      f'(parameters and losses stay float32) is what a {setting.platform} is '
      'fast at'
    )
  seconds = setting.batch_size / step.rate.images_per_second
  if step.copy_seconds > _NOISE * seconds:
    found.append(
      f'copying a batch of {step.batch_bytes / 2**20:.1f} MiB takes '
      f'{step.copy_seconds / seconds:.0%} of the step: send fewer or smaller '
      'pictures (input.crop, input.image_size)'
    )
  if step.half is not None:
    found.append(_of_batch(_ratio(step.rate, step.half), setting))
  if setting.remat:
    found.append(
      'activations are computed twice: --config.encoder.remat=false saves '
      'about a quarter of the step, where memory allows'
    )
  return found


def _of_batch(growth: float, setting: Setting) -> str:
  rows = setting.batch_size
  if growth > 1 + _NOISE:
    return (
      f'a batch of {rows} gives {growth:.2f} times the images/s of {rows // 2}:'
      ' a larger batch gives more (and changes what is learned: scale the '
      'learning rate)'
    )
  return (
    f'a batch of {rows} gives {growth:.2f} times the images/s of {rows // 2}: '
    'a larger one would bring little; only more or faster devices, or a '
    'smaller encoder or image'
  )


def _of_loop(
  side: Side | None, measured: Measured, setting: Setting
) -> list[str]:
  loop = measured.loop
  if side not in ('step', 'both') or loop is None or loop.wait < _WAITS:
    return []
  return [
    f'the loop waits for input {loop.wait:.0%} of the time though the input is '
    'fast enough on average: batches come unevenly; set input.prefetch='
    f'{2 * max(setting.prefetch, 1)} (now {setting.prefetch})'
  ]


def _shares(input_rate: Rate, step_rate: Rate) -> str:
  """Tells how the processor time of an image divides, in words."""
  made, used = _processor_ms(input_rate, step_rate)
  return (
    f'an image costs {made:.2f} ms of processor time in the input and '
    f'{used:.2f} ms in the step, so the {"input" if made > used else "step"} '
    'is what to make cheaper'
  )


def _processor_ms(made: Rate, used: Rate) -> tuple[float, float]:
  """Returns what an image costs in the input and in the step."""
  return (
    1000 * made.cores / made.images_per_second,
    1000 * used.cores / used.images_per_second,
  )


def _ratio(one: Rate, other: Rate) -> float:
  return one.images_per_second / other.images_per_second


def _rate(rate: Rate) -> str:
  return f'{rate.images_per_second:,.4g} images/s'
