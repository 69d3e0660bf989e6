import dataclasses

import pytest

from jaxssl.planning import advice
from jaxssl.planning.speed import Rate, StepSpeed

SETTING = advice.Setting(
  batch_size=256,
  platform='gpu',
  num_devices=1,
  num_cores=8,
  num_threads=8,
  prefetch=2,
  crop='host',
  views=(224, 224),
  image_size=224,
  stored=(375.0, 500.0),
  dtype='bfloat16',
  remat=False,
)


def _rate(images, *, cores=7.6, wait=0.0):
  return Rate(
    images_per_second=images,
    lowest=images,
    highest=images,
    cores=cores,
    wait=wait,
    steps=10,
  )


def _step(images, *, half=None, copy=0.001, cores=0.3):
  return StepSpeed(
    rate=_rate(images, cores=cores),
    half=half and _rate(half),
    copy_seconds=copy,
    batch_bytes=2**20,
    first_seconds=9.0,
  )


def _measured(made, used, together=None, **kwargs):
  loop = together and _rate(together, wait=kwargs.pop('wait', 0.0))
  cores = kwargs.pop('input_cores', 7.6)
  return advice.Measured(
    input=_rate(made, cores=cores), step=_step(used, **kwargs), loop=loop
  )


def _set(**changes):
  return dataclasses.replace(SETTING, **changes)


def _text(measured, setting=SETTING):
  return '\n'.join(advice.advice(measured, setting))


@pytest.mark.parametrize(
  ('made', 'used', 'together', 'platform', 'side'),
  [
    (100, 900, 99, 'gpu', 'input'),
    (900, 100, 99, 'gpu', 'step'),
    (950, 1000, 940, 'gpu', 'both'),
    (100, 200, 60, 'gpu', 'input'),
    # On a CPU both run on the same cores.
    (100, 200, 60, 'cpu', 'processor'),
    (100, 200, 99, 'cpu', 'input'),
    # Unless one of them costs next to nothing there.
    (100_000, 20, 17, 'cpu', 'step'),
  ],
)
def test_the_slower_side_is_the_bottleneck(
  made, used, together, platform, side
):
  measured = _measured(made, used, together, cores=7.0)
  assert advice.bottleneck(measured, _set(platform=platform)) == side


def test_one_side_alone_is_no_bottleneck():
  for measured in (
    advice.Measured(input=_rate(10)),
    advice.Measured(step=_step(10, half=9)),
  ):
    assert advice.bottleneck(measured, SETTING) is None
    assert 'bench both' in advice.verdict(measured, SETTING)
    assert advice.advice(measured, SETTING)


def test_the_verdict_quotes_the_numbers():
  measured = _measured(200, 900, 195, wait=0.77)
  text = advice.verdict(measured, SETTING)
  for number in ('200 images/s', '900 images/s', '195 images/s', '77%', '4.5'):
    assert number in text


def test_busy_cores_want_less_work():
  text = _text(_measured(200, 900))
  assert '7.6 of 8 cores are busy' in text
  assert 'about 34 would keep up' in text  # 7.6 x 900 / 200
  assert 'a shorter side of 256 there would be 47% of the pixels' in text
  assert 'num_threads' not in text


@pytest.mark.parametrize(
  ('setting', 'told', 'untold'),
  [
    (_set(num_threads=2), 'input.num_threads=2: set it to 8', 'disk'),
    (_set(), 'input.num_threads=16, put the data on a faster disk', 'set it'),
    (_set(stored=None), 'records are in memory', 'num_threads'),
  ],
)
def test_idle_cores_want_threads_or_a_faster_disk(setting, told, untold):
  text = _text(_measured(200, 900, input_cores=1.5), setting)
  assert told in text
  assert untold not in text


def test_where_to_crop_follows_from_the_sizes():
  small = _set(stored=(32.0, 32.0), image_size=32, views=(32, 32))
  text = _text(_measured(200, 900), small)
  assert 'input.crop=device would resize each picture once' in text
  assert 'send 50% of the bytes' in text
  large = _set(crop='device', stored=(1000.0, 1500.0), image_size=224)
  assert 'input.crop=host' in _text(_measured(200, 900), large)
  for setting in (_set(), _set(crop='device', stored=(256.0, 256.0))):
    assert 'input.crop' not in _text(_measured(200, 900), setting)


def test_a_resizer_that_dominates_is_named():
  # 7.6 cores at 200 images/s are 38 ms a picture.
  told = _text(_measured(200, 900), _set(resize_seconds=0.020))
  assert 'Pillow takes 20.00 of the 38.00 ms' in told
  assert '--config.input.resizer=cykooz' in told
  assert 'jaxssl[resize]' in told
  for setting in (_set(resize_seconds=0.018), _set()):
    assert 'cykooz' not in _text(_measured(200, 900), setting)
  assert 'cykooz' not in _text(_measured(900, 200), _set(resize_seconds=0.03))


def test_a_slow_step_is_told_what_would_help():
  measured = _measured(900, 100, half=60, copy=0.5)
  text = _text(measured, _set(dtype='float32', remat=True))
  assert 'dtype=bfloat16' in text
  assert '1.67 times the images/s of 128: a larger batch gives more' in text
  assert 'takes 20% of the step' in text  # 0.5 of 2.56 s
  assert 'remat=false' in text
  assert 'num_threads' not in text


def test_what_is_in_order_is_not_told():
  text = _text(_measured(900, 100, half=99))
  assert 'a larger one would bring little' in text
  for word in ('dtype', 'copying', 'remat', 'prefetch', 'cores'):
    assert word not in text
  # A CPU is no faster in bfloat16.
  assert 'dtype' not in _text(
    _measured(900, 100), _set(platform='cpu', dtype='float32')
  )


def test_uneven_batches_want_prefetching():
  fast = _measured(900, 100, 92, wait=0.08)
  assert 'input.prefetch=4 (now 2)' in _text(fast)
  assert 'input.prefetch=2 (now 0)' in _text(fast, _set(prefetch=0))
  slow = _measured(100, 900, 99, wait=0.9)
  assert 'prefetch' not in _text(slow)


def test_processor_time_is_compared_on_a_cpu():
  measured = _measured(100, 200, 60, cores=4.0)
  text = advice.verdict(measured, _set(platform='cpu'))
  assert '76.00 ms of processor time in the input and 20.00 ms' in text
  assert 'so the input is what to make cheaper' in text
