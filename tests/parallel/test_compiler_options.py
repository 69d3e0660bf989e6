import types

import jax
from jax.experimental import serialize_executable
import jax.numpy as jnp

from jaxssl.parallel import compiler_options, modes

CPU = jax.devices()[0]
GPU, TPU = (types.SimpleNamespace(platform=name) for name in ('gpu', 'tpu'))


def test_options_go_by_platform():
  same_bits = {'xla_gpu_deterministic_ops': True}
  assert compiler_options.of_step(GPU) == {}
  assert compiler_options.of_step(GPU, deterministic=True) == same_bits
  assert compiler_options.of_step(TPU, deterministic=True) == {}
  in_order = {'xla_gpu_enable_analytical_sol_latency_estimator': False}
  in_order = compiler_options.known(in_order)
  assert compiler_options.of_step(GPU, recomputes=True) == in_order
  both = compiler_options.of_step(GPU, recomputes=True, deterministic=True)
  assert both == same_bits | in_order
  assert compiler_options.of_step(TPU, recomputes=True) == {}
  assert compiler_options.of_step(CPU)
  assert compiler_options.of_step(CPU, mode='pmap') == {}


def test_what_the_compiler_does_not_know_is_left_out():
  options = {
    'xla_cpu_of_another_version': True,
    'xla_cpu_opt_preset': 'CPU_OPT_PRESET_OF_ANOTHER_VERSION',
    'xla_cpu_enable_fast_math': False,
  }
  known = compiler_options.known(options)
  assert known == {'xla_cpu_enable_fast_math': False}


# What cannot be written the compilation cache compiles anew on every start.
def test_a_program_with_these_options_can_be_kept():
  def gradient(kernel, x):
    numbers = ('NHWC', 'HWIO', 'NHWC')
    maps = jax.lax.conv_general_dilated(
      x, kernel, (1, 1), 'SAME', dimension_numbers=numbers
    )
    return jnp.square(maps @ kernel[0, 0]).sum()

  kernel, x = jnp.ones((3, 3, 8, 8)), jnp.ones((2, 8, 8, 8))
  options = dict(compiler_options.of_step(CPU))
  lowered = jax.jit(jax.grad(gradient)).lower(kernel, x)
  serialize_executable.serialize(lowered.compile(compiler_options=options))


def test_options_are_told_apart_where_jax_has_no_cpu(monkeypatch):
  all_devices = jax.local_devices

  def without_cpu(backend=None):
    if backend == 'cpu':
      raise RuntimeError("Unknown backend: 'cpu' requested")
    return all_devices()

  monkeypatch.setattr(jax, 'local_devices', without_cpu)
  compiler_options._is_known.cache_clear()
  taken = {'xla_cpu_enable_fast_math': False}
  options = {'xla_cpu_of_another_version': True, **taken}
  assert compiler_options.known(options) == taken


def test_a_step_starts_where_the_compiler_knows_none(monkeypatch):
  monkeypatch.setattr(compiler_options, '_CPU', {'xla_cpu_of_then': '1'})
  step = modes.make_mode('jit', num_devices=1).compile(_step)
  assert step(jnp.ones(2), jnp.ones(2))[1] == 4


def _step(state, batch, axis_name=None):
  del axis_name
  return state, (state + batch).sum()
