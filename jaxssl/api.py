"""Pre-training, loading and embedding from Python, without config files.

`docs/quickstart.md` shows them in fifteen lines. Everything here is also there
in parts: `train.loop.train` is the loop, `train.step.train_step` the step.
"""

import argparse
from collections.abc import Callable, Generator, Mapping, Sequence
import contextlib
import dataclasses
import functools
import logging
import os
import sys
from typing import Any, cast

from flax import linen as nn
from flax import nnx
from flax.nnx.bridge import variables as bridge_variables
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxssl import data, printable
from jaxssl.arguments import configs
from jaxssl.augment.bands import fields_of
from jaxssl.augment.preprocessing import Preprocessing, usual
from jaxssl.augment.view import Augment
from jaxssl.commands import import_weights
from jaxssl.commands import train as train_command
from jaxssl.data import crop, decode, raster
from jaxssl.data.chosen import Paths
from jaxssl.data.decode import UnreadableError
from jaxssl.data.places import read_file
from jaxssl.data.source import Source
from jaxssl.errors import UserError, unknown
from jaxssl.evals import images
from jaxssl.evals.features import Features, encode_fn, extract
from jaxssl.methods.base import Method, PyTree
from jaxssl.models import remat
from jaxssl.parallel import processes
from jaxssl.parallel.modes import make_mode
from jaxssl.runs import encoders
from jaxssl.train.checkpoint import Checkpoints
from jaxssl.train.learner import Learner
from jaxssl.train.loop import Job, train
from jaxssl.train.workdir import Workdir
from jaxssl.train.writers import JsonLines
from jaxssl.weights import model_folder
from jaxssl.weights.exported import ExportedEncoder

# Arguments of `jaxssl train` that `pretrain_by_name` takes as they are.
_PLAIN = {
  *('steps', 'epochs', 'batch_size', 'image_size', 'test_fraction'),
  *('train_split', 'test_split', 'data_dir'),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pretrained:
  """An encoder and what it needs to take pictures.

  Attributes:
    encoder: module, images -> (features, out).
    variables: its Flax variables.
    normalize: images [..., C] -> what the encoder takes.
    preprocessing: how whole pictures are resized and cut.
  """

  encoder: nn.Module
  variables: PyTree
  normalize: Callable[[jax.Array], jax.Array]
  preprocessing: Preprocessing

  @property
  def image_size(self) -> int:
    """Side of its images in pixels."""
    return self.preprocessing.image_size

  def preprocess(self, paths: Sequence[str | os.PathLike[str]]) -> jax.Array:
    """Returns pictures as the encoder takes them, float32 [n, S, S, C].

    They are read, rotated, resized, cut and normalised as `jaxssl eval` does
    it.

    Args:
      paths: files of this machine.

    Raises:
      UserError: names the first file that cannot be read as a picture.
    """
    if isinstance(paths, str | os.PathLike):
      raise UserError(f'preprocess takes a list of files, not {str(paths)!r}')
    if not paths:
      raise UserError('preprocess got no files')
    pictures = [_read_picture(path, self.preprocessing) for path in paths]
    return self.normalize(jnp.asarray(np.stack(pictures)))

  def to_nnx(self) -> nnx.Module:
    """Returns encoder and weights as one module of `flax.nnx`.

    It is called as the encoder is, images -> (features, out). With
    `nnx.bridge.ToNNX(encoder, rngs).lazy_init` it would have fresh weights.
    """
    module = nnx.bridge.ToNNX(self.encoder)
    found = bridge_variables.linen_vars_to_nnx_attrs(self.variables)
    for name, value in found.items():
      setattr(module, name, value)
    return module


def load(path: str | os.PathLike[str]) -> Pretrained:
  """Returns an encoder, with its weights and what prepares its pictures.

  Args:
    path: one of
      the workdir of `jaxssl train` or `jaxssl import`, whose newest encoder it
      is; a folder of `jaxssl export safetensors`; a `.safetensors` file, or the
      folder of a model as it is downloaded, of timm or transformers, as
      `jaxssl import` takes them; or the id of any of these at the Hugging Face
      hub, `owner/name` (needs `huggingface_hub`).

  Raises:
    UserError: if there is no encoder, it is damaged, or its weights do not say
      all that must be known; `jaxssl import` then has options.
  """
  exported = _load(path)
  return Pretrained(
    encoder=exported.encoder,
    variables=exported.variables,
    normalize=exported.normalize,
    preprocessing=exported.preprocessing,
  )


def _load(path: str | os.PathLike[str]) -> ExportedEncoder:
  if model_folder.is_id(path):
    path = model_folder.download(os.fspath(path))
  if model_folder.has_weights(path):
    return import_weights.read(os.fspath(path))
  return encoders.load(Workdir(path))


def pretrain(
  method: Method | str, source: Source | Paths, **options: Any
) -> Pretrained:
  """Trains a method on data; called again, goes on where it stopped.

  By names it is `jaxssl train`: the same defaults, config, files and bits, so
  that every command works on the workdir afterwards; see `pretrain_by_name`.
  With objects nothing is taken for granted; see `pretrain_by_parts`.

  Args:
    method: a name of `jaxssl methods`, or for example `SimCLR(encoder=...)`.
    source: what `--data` takes, or a source.
    **options: of `pretrain_by_name` or `pretrain_by_parts`.

  Returns:
    The encoder after the last step.

  Raises:
    UserError: if something that is given is wrong, or training diverges.
    Preempted: after saving, if SIGTERM or Ctrl-C came.
  """
  if isinstance(method, str):
    return pretrain_by_name(method, cast(Paths, source), **options)
  return pretrain_by_parts(method, cast(Source, source), **options)


def pretrain_by_name(
  method: str,
  data: Paths,
  *,
  workdir: str | os.PathLike[str],
  encoder: str | None = None,
  overrides: Mapping[str, object] | None = None,
  **plain: float | str,
) -> Pretrained:
  """Does what `jaxssl train --method --encoder --data --workdir` does.

  Lines of progress go to the log; where no log is set up, to the screen.

  Args:
    method: a name of `jaxssl methods`.
    data: a folder, several, files, `'photos'`, `'digits'` or a TFDS name.
    workdir: folder of the run.
    encoder: a name of `jaxssl encoders`; None for that of the method.
    overrides: key of the config -> value: `{'optim.weight_decay': 0.1}`.
    **plain: `steps`, `epochs`, `batch_size`, `image_size`, `test_fraction`,
      `train_split`, `test_split`, `data_dir`, as on the command line.

  Returns:
    The encoder after the last step.

  Raises:
    UserError: if something that is given is wrong, or training diverges.
    Preempted: after saving, if SIGTERM or Ctrl-C came.
  """
  parser = argparse.ArgumentParser()
  configs.add_arguments(parser)
  arguments = parser.parse_args([])
  if wrong := sorted(plain.keys() - _PLAIN):
    raise unknown('argument of pretrain', wrong[0], _PLAIN)
  given = {'method': method, 'encoder': encoder, 'data': data, **plain}
  for name, value in {**given, 'workdir': workdir}.items():
    setattr(arguments, name, value)
  changes = [
    f'--config.{k}={_plain(v)!r}' for k, v in (overrides or {}).items()
  ]
  with _shown():
    config = configs.resolve(arguments, changes)
    train_command.train_config(config, Workdir(workdir))
  return load(workdir)


def _plain(value: object) -> object:
  """Returns a value as a config writes it: no path, no number of NumPy."""
  if isinstance(value, os.PathLike):
    return os.fspath(value)
  return value.item() if isinstance(value, np.generic) else value


def pretrain_by_parts(
  method: Method,
  source: Source,
  *,
  augment: Augment,
  tx: optax.GradientTransformation,
  num_steps: int,
  batch_size: int,
  workdir: str | os.PathLike[str],
  seed: int = 0,
  mode: str = 'jit',
  fsdp: int | None = 1,
  host_crops: bool = False,
  checkpoint_steps: int = 1000,
) -> Pretrained:
  """Trains a method on a source; called again, goes on where it stopped.

  Args:
    method: for example `SimCLR(encoder=...)`.
    source: from `jaxssl.data.make_source`, or `jaxssl.data.Arrays`.
    augment: makes the views, for example `recipes.simclr_cifar()`; of pictures
      of other channels `any_channels.for_bands` makes it of a recipe.
    tx: any optax optimizer.
    num_steps: optimizer steps in all.
    batch_size: images per step, over all devices.
    workdir: folder for checkpoints and `metrics.jsonl`.
    seed: seed of parameters, order and augmentation.
    mode: `'jit'` or `'pmap'`.
    fsdp: how many devices share one copy of the state; None for all.
    host_crops: crop on the host (big pictures) instead of on the device.
    checkpoint_steps: the state is saved every so many steps, and at the end.

  Returns:
    The encoder after the last step.

  Raises:
    UserError: if the batch does not divide, the data cannot be read, the
      folder cannot be written or is in use, or training diverges.
    Preempted: after saving, if SIGTERM or Ctrl-C came.
  """
  images.check_batch(batch_size)
  size = augment.crops[0].size
  make_batches = functools.partial(
    _batches, source, batch_size, seed, augment, host_crops
  )
  shapes = data.batch_shapes(
    batch_size,
    crops=augment.crops if host_crops else (),
    bands=augment.bands,
    image_size=size,
  )
  job = Job(
    learner=Learner(method=method, augment=augment, tx=tx),
    mode=make_mode(mode, fsdp=fsdp, recomputes=remat.is_on(method)),
    make_batches=make_batches,
    shapes=shapes,
    seed=seed,
    num_steps=num_steps,
    batch_size=batch_size,
    log_steps=min(50, num_steps),
    checkpoint_steps=checkpoint_steps,
    eval_steps=num_steps,
    evaluate=None,
    learning_rate=None,
    meta={'data': source.identity, 'files': source.fingerprint},
  )
  place = Workdir(workdir)
  with (
    _locked(place),
    contextlib.closing(Checkpoints(place.checkpoints)) as checkpoints,
  ):
    state = train(
      job,
      checkpoints=checkpoints,
      make_writers=lambda first: [
        JsonLines(place.metrics_path, first_step=first, check=place.check_lock)
      ],
    )
  towers = method.export(state.params, state.method_state)
  return Pretrained(
    encoder=method.encoder,
    variables=towers['encoder'],
    normalize=augment.normalize,
    preprocessing=usual(size, **fields_of(augment.bands)),
  )


def embed(
  pretrained: Pretrained, source: Source, *, batch_size: int = 256
) -> Features:
  """Returns the features and labels of every record of a source.

  Args:
    pretrained: the encoder and how its pictures are prepared.
    source: pictures, from `jaxssl.data.make_source` or `jaxssl.data.Arrays`.
    batch_size: images per call of the encoder.
  """
  encode = encode_fn(
    pretrained.encoder, pretrained.variables, pretrained.normalize
  )
  batches = data.eval_batches(
    source,
    batch_size=batch_size,
    preprocessing=pretrained.preprocessing,
  )
  return extract(encode, batches, class_names=source.class_names or ())


def _read_picture(
  path: str | os.PathLike[str], rule: Preprocessing
) -> np.ndarray:
  """Returns a picture after resizing and cutting, [S, S, C]."""
  content = read_file(path)
  try:
    if rule.bands is None:
      return crop.prepare(decode.exact(content), rule)
    return crop.prepare(raster.exact(content, rule.bands), rule)
  except UnreadableError as error:
    raise UserError(f'{os.fspath(path)!r} cannot be read: {error}') from error


@contextlib.contextmanager
def _shown() -> Generator[None]:
  """Has the lines of a run in its log, and on the screen.

  Not on the screen where the program has a log of its own, which gets them.
  """
  package = logging.getLogger('jaxssl')
  handler, level = logging.StreamHandler(sys.stdout), package.level
  handler.setFormatter(printable.Formatter('%(message)s'))
  # A terminal shows these as a line of progress.
  handler.addFilter(lambda record: not getattr(record, 'shown', False))
  if not package.hasHandlers():
    package.addHandler(handler)
  if level == logging.NOTSET:
    package.setLevel(logging.INFO)
  try:
    yield
  finally:
    package.removeHandler(handler)
    package.setLevel(level)


@contextlib.contextmanager
def _locked(workdir: Workdir) -> Generator[None]:
  if processes.is_first():
    workdir.lock()
  try:
    yield
  finally:
    workdir.release()


def _batches(
  source: Source,
  batch_size: int,
  seed: int,
  augment: Augment,
  host_crops: bool,
  first_step: int,
) -> Any:
  return data.train_batches(
    source,
    batch_size=batch_size,
    seed=seed,
    first_step=first_step,
    crops=augment.crops if host_crops else None,
    bands=augment.bands,
    image_size=None if host_crops else augment.crops[0].size,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
  )
