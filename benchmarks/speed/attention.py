"""cuDNN's fused attention beside XLA's, forward and backward, in bfloat16.

`jax.nn.dot_product_attention` with either implementation, at the shapes of
vision transformers (197 tokens) and of CLIP's texts (77, causal). A measurement
is the time of many calls that are waited for together; the two alternate.
`ours` is cuDNN, which jaxssl chooses wherever it can (`models/attention.py`).

  python -m benchmarks.speed.attention --out rows.jsonl
  python -m benchmarks.speed.attention --device cpu

On a CPU the shapes are tiny and only XLA's is run.
"""

import argparse
from collections.abc import Callable, Iterator
import dataclasses
import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.report import rows

IMPLEMENTATIONS = {'ours': 'cudnn', 'theirs': 'xla'}


@dataclasses.dataclass(frozen=True)
class Shape:
  """Self-attention of one layer.

  Attributes:
    batch: rows.
    length: tokens of a row.
    heads: attention heads.
    width: of a head.
    causal: no token sees those after it.
  """

  batch: int
  length: int
  heads: int
  width: int = 64
  causal: bool = False

  @property
  def flops(self) -> int:
    """Products of forward and backward pass; the causal half counts whole."""
    return 12 * self.batch * self.heads * self.length**2 * self.width


GPU = {
  'vit_s': Shape(256, 197, 6),
  'vit_b': Shape(256, 197, 12),
  'vit_l': Shape(128, 197, 16),
  'clip_text': Shape(1024, 77, 8, causal=True),
}
CPU = {
  'vit_s': Shape(2, 17, 2, 16),
  'vit_b': Shape(2, 17, 3, 16),
  'vit_l': Shape(2, 17, 4, 16),
  'clip_text': Shape(2, 9, 2, 16, causal=True),
}
TABLES = {'gpu': GPU, 'cpu': CPU}


def inputs(shape: Shape) -> tuple[jax.Array, ...]:
  """Returns queries, keys, values and the gradient of the result."""
  sides = (shape.batch, shape.length, shape.heads, shape.width)
  keys = jax.random.split(jax.random.key(0), 4)
  return tuple(jax.random.normal(key, sides, jnp.bfloat16) for key in keys)


def compiled(shape: Shape, implementation: str) -> Callable[..., Any]:
  """Returns result and gradients as a compiled function of `inputs`."""

  def attend(q, k, v):
    return jax.nn.dot_product_attention(
      q, k, v, is_causal=shape.causal, implementation=implementation
    )

  def both(q, k, v, gradient):
    out, backward = jax.vjp(attend, q, k, v)
    return out, *backward(gradient)

  return jax.jit(both).lower(*inputs(shape)).compile()


def seconds_of(function: Callable[[], Any], calls: int) -> float:
  """Returns the time of a call, of so many that are waited for together."""
  start = time.perf_counter()
  for _ in range(calls):
    result = function()
  jax.block_until_ready(result)
  return (time.perf_counter() - start) / calls


def attention_row(name: str, args: argparse.Namespace) -> dict[str, Any]:
  """Measures one shape."""
  shape = TABLES[args.device][name]
  wanted = dict(IMPLEMENTATIONS)
  if args.device == 'cpu':
    del wanted['ours']
  tensors = inputs(shape)
  functions = {side: compiled(shape, which) for side, which in wanted.items()}
  results = {side: function(*tensors) for side, function in functions.items()}
  times = {side: [] for side in functions}
  for _ in range(args.repeats):
    for side, function in functions.items():
      times[side].append(seconds_of(lambda f=function: f(*tensors), args.calls))
  detail = [
    f'batch {shape.batch}, {shape.length} tokens, {shape.heads} heads of '
    f'{shape.width}{", causal" if shape.causal else ""}, {args.repeats} x '
    f'{args.calls} calls'
  ]
  for side, seconds in times.items():
    detail.append(described(shape, wanted[side], functions[side], seconds))
  if 'ours' in results:
    detail.append(f'largest difference {difference(results):.2g}')
  else:
    detail.append('cudnn not run: no GPU')
  middle = {side: 1e3 * statistics.median(s) for side, s in times.items()}
  return rows.row(
    f'attention/{name}',
    ours=middle.get('ours'),
    theirs=middle['theirs'],
    unit='ms, forward and backward',
    peer="XLA's attention",
    detail='; '.join(detail),
    lower_is_better=True,
  )


def described(shape: Shape, name: str, function, seconds: list[float]) -> str:
  """Returns range, rate and temporary memory of one implementation."""
  memory = function.memory_analysis().temp_size_in_bytes / 2**20
  rate = shape.flops / statistics.median(seconds) / 1e12
  return (
    f'{name} {1e3 * min(seconds):.3g}-{1e3 * max(seconds):.3g} ms, '
    f'{rate:.3g} TFLOP/s, {memory:.0f} MiB of temporaries'
  )


def difference(results: dict[str, Any]) -> float:
  """Returns the largest one between result and gradients of both."""
  pairs = zip(results['ours'], results['theirs'], strict=True)
  return max(
    float(np.abs(np.asarray(a, np.float32) - np.asarray(b, np.float32)).max())
    for a, b in pairs
  )


def all_rows(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
  """Yields a row for each shape, whatever happens to the others."""
  if args.device == 'gpu' and jax.default_backend() != 'gpu':
    for name in GPU:
      yield empty_row(name, 'not run: no GPU found')
    return
  for name in TABLES[args.device]:
    try:
      yield attention_row(name, args)
    except (RuntimeError, ValueError, NotImplementedError) as error:
      yield rows.failed(empty_row(name, ''), str(error).splitlines()[0][:300])


def empty_row(name: str, detail: str) -> dict[str, Any]:
  """Returns the row of a shape without figures."""
  return rows.row(
    f'attention/{name}',
    ours=None,
    theirs=None,
    unit='ms, forward and backward',
    peer="XLA's attention",
    detail=detail,
  )


def main() -> int:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--device', choices=TABLES, default='gpu')
  parser.add_argument('--repeats', type=int, default=5)
  parser.add_argument('--calls', type=int, default=20, help='a measurement')
  parser.add_argument('--out', help='file to write the rows to, JSON lines')
  args = parser.parse_args()
  return rows.report(all_rows(args), args.out)


if __name__ == '__main__':
  raise SystemExit(main())
