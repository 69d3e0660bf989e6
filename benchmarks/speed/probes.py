"""Processor time of features and of linear classifiers, beside other libraries.

  OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 taskset -c 0 \
      python -m benchmarks.speed.probes --out rows.jsonl
  python -m benchmarks.speed.probes --memory

* `features`: an encoder in evaluation mode on a batch of images, and timm's
  with as many parameters (PyTorch, inference mode).
* `logistic`: one fit of logistic regression, and scikit-learn's with the same
  penalty and tolerance. The detail says which objective each reached.
* `linear`: ten learning rates at once by SGD, on a part of the rows and then on
  all, as the protocol does it; in PyTorch ten layers in one loop, as DINOv2's
  evaluation trains them.

All on one thread, in turns within one process, after one turn that compiles.
`--memory` instead tells the largest memory of a process that runs each protocol
on a million rows of 768 numbers, which lie in a file.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
import functools
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import jax
import numpy as np

from benchmarks.peers import torch_simclr, workloads
from benchmarks.report import rows
from benchmarks.speed import turns
from jaxssl import models
from jaxssl.evals import features, knn, linear
from jaxssl.evals import logistic_regression as regression

Call = Callable[[], object]

ENCODERS = {
  'vit_s16': workloads.GPU['vit_s16_224'],
  'resnet50': workloads.GPU['resnet50_224'],
}
IMAGES = 16
# Rows, dimensions, classes.
SIZES = ((10_000, 384, 10), (20_000, 768, 100))
PENALTY, TOLERANCE, ITERATIONS = 1.0, 1e-4, 1000
EPOCHS, BATCH = 20, 256
MEMORY_ROWS, MEMORY_DIM, MEMORY_CLASSES, QUERIES = 1_000_000, 768, 100, 1000


def seconds(calls: Mapping[str, Call], rounds: int) -> dict[str, float]:
  """Returns the median processor time of each, in turns."""
  times = turns.processor_seconds(calls, rounds)
  return {name: statistics.median(taken) for name, taken in times.items()}


def clusters(num: int, dim: int, classes: int) -> features.Features:
  """Returns rows around a centre for each class, which overlap."""
  random = np.random.default_rng(0)
  labels = random.integers(0, classes, num).astype(np.int32)
  centres = 0.12 * random.standard_normal((classes, dim), np.float32)
  noise = random.standard_normal((num, dim), np.float32)
  return features.Features(centres[labels] + noise, labels)


def encoders(rounds: int) -> Iterator[dict[str, Any]]:
  """Yields the time of a batch of images."""
  import torch

  torch.set_num_threads(1)
  for name, work in ENCODERS.items():
    images = np.random.default_rng(0).integers(
      0, 256, (IMAGES, work.size, work.size, 3), np.uint8
    )
    encoder = models.make_encoder(name=work.encoder)
    variables = jax.jit(encoder.init)(jax.random.key(0), scaled(images))
    peer = torch_simclr.encoder(work).eval()
    sizes = (
      sum(leaf.size for leaf in jax.tree.leaves(variables['params'])),
      sum(leaf.numel() for leaf in peer.parameters()),
    )
    if len(set(sizes)) > 1:
      raise ValueError(f'{name}: {sizes} parameters')
    encode = features.encode_fn(encoder, variables, scaled)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    calls = {
      'ours': lambda e=encode, x=images: jax.block_until_ready(e(x)),
      'timm': lambda e=peer, x=pixels: _in_timm(e, x),
    }
    taken = seconds(calls, rounds)
    yield _row(
      f'features/{name}', taken, f'{IMAGES} images of {work.size} pixels'
    )


def scaled(images: Any) -> Any:
  """Returns pixels as numbers of about unit variance."""
  return (images.astype('float32') - 127.5) / 64.0


def _in_timm(encoder: Any, images: Any) -> None:
  import torch

  with torch.inference_mode():
    encoder((images.float() - 127.5) / 64.0)


def _row(name: str, taken: dict[str, float], detail: str) -> dict[str, Any]:
  (_, ours), (peer, theirs) = taken.items()
  return rows.row(
    f'probes/{name}',
    ours=ours,
    theirs=theirs,
    unit='s of CPU',
    peer=peer,
    detail=detail,
    lower_is_better=True,
  )


def _objective(data: features.Features, kernel: Any, bias: Any) -> float:
  logits = data.features.astype(np.float64) @ kernel + bias
  own = np.take_along_axis(logits, data.labels[:, None], axis=1)
  top = logits.max(axis=1, keepdims=True)
  log_sum = np.log(np.exp(logits - top).sum(axis=1, keepdims=True)) + top
  return float((log_sum - own).sum() + PENALTY / 2 * np.square(kernel).sum())


def logistic(rounds: int) -> Iterator[dict[str, Any]]:
  """Yields the time of one fit."""
  for num, dim, classes in SIZES:
    data = clusters(num, dim, classes)
    reached: dict[str, float] = {}
    calls = {
      'ours': functools.partial(_our_fit, data, reached),
      'scikit-learn': functools.partial(_their_fit, data, reached),
    }
    taken = seconds(calls, rounds)
    yield _row(
      f'logistic/{num}x{dim}x{classes}',
      taken,
      'objective ' + ' and '.join(f'{reached[name]:.2f}' for name in calls),
    )


def _our_fit(data: features.Features, reached: dict[str, float]) -> None:
  found = regression.fit(
    data.features,
    data.labels,
    penalty=PENALTY,
    max_iterations=ITERATIONS,
    tolerance=TOLERANCE,
  )
  reached['ours'] = _objective(data, found.kernel, found.bias)


def _their_fit(data: features.Features, reached: dict[str, float]) -> None:
  from sklearn.linear_model import LogisticRegression

  found = LogisticRegression(
    C=1 / PENALTY, tol=TOLERANCE, max_iter=ITERATIONS
  ).fit(data.features, data.labels)
  reached['scikit-learn'] = _objective(data, found.coef_.T, found.intercept_)


def _torch_sweep(
  train: features.Features, validation: features.Features, rates: Any
) -> float:
  import torch

  classes = train.num_classes
  heads = [torch.nn.Linear(train.features.shape[1], classes) for _ in rates]
  for head in heads:
    torch.nn.init.normal_(head.weight, std=0.01)
    torch.nn.init.zeros_(head.bias)
  tx = torch.optim.SGD(
    [
      {'params': head.parameters(), 'lr': rate * BATCH / 256}
      for head, rate in zip(heads, rates, strict=True)
    ],
    momentum=0.9,
    nesterov=True,
  )
  steps = int(EPOCHS * len(train.labels) / BATCH)
  schedule = torch.optim.lr_scheduler.CosineAnnealingLR(tx, steps)
  inputs, labels = map(torch.from_numpy, (train.features, train.labels))
  labels = labels.long()
  order = torch.cat(
    [torch.randperm(len(labels)) for _ in range(EPOCHS + 1)]
  ).split(BATCH)
  for now in order[:steps]:
    logits = [head(inputs[now]) for head in heads]
    losses = [
      torch.nn.functional.cross_entropy(each, labels[now]) for each in logits
    ]
    tx.zero_grad()
    torch.stack(losses).sum().backward()
    tx.step()
    schedule.step()
  with torch.inference_mode():
    rows_ = torch.from_numpy(validation.features)
    answers = torch.from_numpy(validation.labels)
    return max(
      float((head(rows_).argmax(1) == answers).float().mean()) for head in heads
    )


def sweep(rounds: int) -> Iterator[dict[str, Any]]:
  """Yields the time of the protocol `linear`, with fewer epochs."""
  import torch

  torch.set_num_threads(1)
  protocol = linear.Linear(epochs=EPOCHS, batch_size=BATCH)
  for num, dim, classes in SIZES:
    data = clusters(2 * num, dim, classes)
    train, test = _rows_of(data, 0, num), _rows_of(data, num, 2 * num)
    reached: dict[str, float] = {}
    calls = {
      'ours': functools.partial(_our_sweep, protocol, train, test, reached),
      'PyTorch': functools.partial(
        _their_sweep, protocol, train, test, reached
      ),
    }
    taken = seconds(calls, rounds)
    yield _row(
      f'linear/{num}x{dim}x{classes}',
      taken,
      f'{EPOCHS} epochs; top-1 {reached["ours"]:.3f}, the best of the rates in '
      f'PyTorch {reached["PyTorch"]:.3f}',
    )


def _rows_of(
  data: features.Features, first: int, last: int
) -> features.Features:
  return features.Features(data.features[first:last], data.labels[first:last])


def _our_sweep(
  protocol: linear.Linear,
  train: features.Features,
  test: features.Features,
  reached: dict[str, float],
) -> None:
  reached['ours'] = protocol.run(train, test)['top1']


def _their_sweep(
  protocol: linear.Linear,
  train: features.Features,
  test: features.Features,
  reached: dict[str, float],
) -> None:
  part = int((1 - protocol.validation_share) * len(train.labels))
  for each in (_rows_of(train, 0, part), train):
    reached['PyTorch'] = _torch_sweep(each, test, protocol.learning_rates)


def _in_child(what: str, folder: pathlib.Path) -> None:
  """Writes the files (`make`), or runs a protocol on them and says its memory.

  A process starts with the peak of the one that started it, so that one must
  not hold the data.
  """
  splits = {'train': MEMORY_ROWS, 'test': QUERIES}
  if what == 'make':
    for split, num in splits.items():
      data = clusters(num, MEMORY_DIM, MEMORY_CLASSES)
      np.save(folder / f'{split}.npy', data.features)
      np.save(folder / f'{split}_labels.npy', data.labels)
    return
  train, test = (
    features.Features(
      np.load(folder / f'{split}.npy', mmap_mode='r'),
      np.load(folder / f'{split}_labels.npy'),
    )
    for split in splits
  )
  start = time.process_time()
  if what == 'knn':
    knn.Knn().run(train, test)
  elif what == 'linear':
    linear.Linear(epochs=1, batch_size=4096).run(train, test)
  elif what == 'logistic':
    regression.fit(
      train.features,
      train.labels,
      penalty=PENALTY,
      max_iterations=5,
      tolerance=TOLERANCE,
    )
  taken = time.process_time() - start
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
  print(f'{what}: {peak:,.0f} MiB, {taken:.0f} s of CPU', flush=True)


def memory() -> None:
  """Prints the memory of each protocol, each in a process of its own."""
  with tempfile.TemporaryDirectory() as folder:
    for what in ('make', 'nothing', 'knn', 'linear', 'logistic'):
      subprocess.run(
        [
          *(sys.executable, '-m', 'benchmarks.speed.probes'),
          *('--child', what, '--folder', folder),
        ],
        check=True,
      )


def main() -> int:
  """Parses the arguments and reports."""
  parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
  parser.add_argument('--rounds', type=int, default=3)
  parser.add_argument('--memory', action='store_true')
  parser.add_argument('--out', help='file to write the rows to, JSON lines')
  parser.add_argument('--child', help=argparse.SUPPRESS)
  parser.add_argument('--folder', type=pathlib.Path, help=argparse.SUPPRESS)
  arguments = parser.parse_args()
  if arguments.child:
    _in_child(arguments.child, arguments.folder)
    return 0
  if arguments.memory:
    memory()
    return 0
  found = (
    row
    for part in (encoders, logistic, sweep)
    for row in part(arguments.rounds)
  )
  return rows.report(found, arguments.out)


if __name__ == '__main__':
  sys.exit(main())
