"""From the objects of a run to what the loop needs."""

from collections.abc import Callable, Iterable, Mapping
import functools
import logging
from typing import Any

import jax

from jaxssl import data
from jaxssl.build import Run, build_eval_source
from jaxssl.config import Config, config_hash
from jaxssl.data.source import Source
from jaxssl.errors import UserError
from jaxssl.evals.guard import Guard
from jaxssl.evals.online import OnlineEvaluation
from jaxssl.methods import METHODS, DINOv2
from jaxssl.methods.base import Batch, Method
from jaxssl.parallel.modes import to_host
from jaxssl.train import memory
from jaxssl.train.loop import Job
from jaxssl.train.workdir import BEST, Workdir, fixed_part
from jaxssl.weights.exported import (
  ExportedEncoder,
  abstract_variables,
  export_of,
  load_encoder,
  save_encoder,
)
from jaxssl.weights.input_channels import adapt_encoder

# (name of an unreadable record, reason)
OnBad = Callable[[str, str], None]

_log = logging.getLogger(__name__)


def make_job(
  run: Run,
  *,
  dry: bool = False,
  begun_with: Config | None = None,
  workdir: Workdir | None = None,
) -> Job:
  """Returns the job of a run.

  Args:
    run: its objects.
    dry: not to be trained but looked at: without evaluation, and silent about
      unreadable records.
    begun_with: config that the run began with, which names it in checkpoints;
      that of `run` by default.
    workdir: where the guard keeps what it knows; without one there is none.
  """
  on_bad = _say_nothing if dry else _NamedOnce()
  evaluate, guard = None, None
  if run.eval.steps and not dry:
    evaluate = _online_evaluation(run, on_bad)
    if run.eval.guard != 'off' and workdir is not None:
      evaluate = guard = _guard(run, evaluate, workdir)
  return Job(
    learner=run.learner,
    mode=run.mode,
    make_batches=functools.partial(_train_batches, run, on_bad),
    shapes=run.batch_shapes(run.train.batch_size),
    seed=run.seed,
    num_steps=run.num_steps,
    batch_size=run.train.batch_size,
    log_steps=run.train.log_steps,
    checkpoint_steps=run.train.checkpoint_steps,
    eval_steps=run.eval.steps or run.num_steps + 1,
    evaluate=evaluate,
    guard=guard,
    learning_rate=run.learning_rate,
    load_towers=lambda: None if dry else _trained_towers(run),
    steps_per_epoch=run.steps_per_epoch,
    meta={
      'data': _identity(run),
      'files': run.source.fingerprint,
      'config': config_hash(fixed_part(begun_with or run.config)),
    },
  )


def check_shapes(run: Run) -> None:
  """Finds out whether data, views, networks and first weights fit together.

  Nothing is computed, and no picture is read.

  Raises:
    UserError: if they do not fit (a batch that is larger than the memory,
      patches that do not divide the image, data
      without captions, weights of another encoder, ...), or if the networks
      cannot take the batch in parts.
  """
  if run.tokenizer is not None:
    data.check_captions(run.source)
  batch = run.batch_shapes(run.train.batch_size)
  own = run.batch_shapes(run.train.batch_size // jax.process_count())
  memory.check_batch(own, run.input.prefetch)
  state = run.learner.abstract(batch, _trained_towers(run, quiet=True))
  if run.learner.micro_batches > 1:
    jax.eval_shape(run.learner.step, state, batch)
  abstract_variables(
    run.encoder, run.eval_image_size, run.preprocessing.num_channels
  )


def eval_batches(
  run: Run,
  source: Source,
  limit: int | None = None,
  on_bad: OnBad | None = None,
) -> Iterable[Batch]:
  """Returns evaluation batches of a source, prepared as the run says.

  Args:
    run: its objects.
    source: what is read.
    limit: so many records at most; None for all.
    on_bad: called with the name of an unreadable record and the reason.
  """
  return data.eval_batches(
    source,
    batch_size=run.eval.batch_size,
    preprocessing=run.preprocessing,
    limit=limit,
    on_bad=on_bad,
  )


def exported_encoder(
  run: Run, towers: Mapping[str, Any], step: int
) -> ExportedEncoder:
  """Returns the encoder of a run as `jaxssl export` writes it.

  Args:
    run: its objects.
    towers: what `Method.export` returns; `encoder` is one of them.
    step: optimizer steps behind the weights.
  """
  towers = dict(to_host(towers))
  return ExportedEncoder(
    section=run.config['encoder'],
    variables=towers.pop('encoder'),
    towers=towers,
    preprocessing=run.preprocessing,
    step=step,
    config_hash=config_hash(run.config),
  )


def _trained_towers(run: Run, *, quiet: bool = False) -> dict[str, Any] | None:
  """Returns trained variables that the run starts from, by tower.

  Args:
    run: its objects.
    quiet: do not warn of weights that are used to other pictures.
  """
  settings, name = run.train, run.config['method']['name']
  row = METHODS[name]
  trained: dict[str, Any] = {}
  if settings.init_encoder is not None:
    if not row.starts_trained:
      raise UserError(
        f'method {name!r} cannot start from a trained encoder; leave '
        'config.train.init_encoder out'
      )
    start = load_encoder(export_of(settings.init_encoder))
    adapted = adapt_encoder(start, run.preprocessing, quiet=quiet)
    if adapted is start and not quiet:
      _compare_normalization(run, start)
    trained['encoder'] = adapted.variables
  elif _stays_random(run.learner.method):
    raise UserError(
      f'method {name!r} holds patches to those of the encoder that the run '
      'begins with, which would be a random one; give trained weights '
      '(config.train.init_encoder), or have the teacher take its place '
      '(config.method.gram_every)'
    )
  if settings.init_text_encoder is not None:
    if row.text_encoder is None:
      raise UserError(
        f'method {name!r} has no text tower; leave '
        'config.train.init_text_encoder out'
      )
    towers = load_encoder(export_of(settings.init_text_encoder)).towers
    if 'text' not in towers:
      raise UserError(
        f'{settings.init_text_encoder!r} holds no text tower; give the export/ '
        'of an image-text run'
      )
    trained['text'] = towers['text']
  return trained or None


def _stays_random(method: Method) -> bool:
  """Whether patches are held to those of an encoder that never learns."""
  return (
    isinstance(method, DINOv2) and method.anchored and not method.gram_every
  )


def _identity(run: Run) -> str:
  """Of what the batches depend on: the records, and the ids of their texts."""
  if run.tokenizer is None:
    return run.source.identity
  return f'{run.source.identity}-{run.tokenizer.fingerprint}'


def _compare_normalization(run: Run, trained: ExportedEncoder) -> None:
  """Warns if a run shows its encoder other numbers than it was trained on."""
  ours, theirs = ((x.mean, x.std) for x in (run.augment, trained))
  if ours != theirs:
    _log.warning(
      '%r was trained on pictures of mean %s and std %s; this run has %s and '
      '%s, those of augment %r',
      run.train.init_encoder,
      *theirs,
      *ours,
      run.config['augment']['name'],
    )


def _train_batches(run: Run, on_bad: OnBad, first_step: int) -> Any:
  return data.train_batches(
    run.source,
    batch_size=run.train.batch_size,
    seed=run.seed,
    first_step=first_step,
    crops=run.host_crops,
    resizer=run.input.resizer,
    bands=run.augment.bands,
    image_size=run.input.image_size,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
    strict=run.input.strict,
    prefetch=run.input.prefetch,
    num_threads=run.input.num_threads,
    encode_text=run.tokenizer and run.tokenizer.encode,
    captions=run.input.captions,
    on_bad=on_bad,
  )


def _online_evaluation(run: Run, on_bad: OnBad) -> OnlineEvaluation:
  limit = run.eval.limit
  bank = build_eval_source(run.config) if run.eval.data else run.source
  queries = _queries(run, bank)
  return OnlineEvaluation(
    encoder=run.encoder,
    normalize=run.augment.normalize,
    train_batches=functools.partial(eval_batches, run, bank, limit, on_bad),
    test_batches=(
      queries and functools.partial(eval_batches, run, queries, limit, on_bad)
    ),
    train_names=tuple(bank.class_names or ()),
    test_names=tuple(queries.class_names or ()) if queries else (),
    k=run.eval.k,
  )


def _guard(run: Run, evaluation: OnlineEvaluation, workdir: Workdir) -> Guard:
  def keep(towers: Mapping[str, Any], step: int) -> None:
    workdir.check_lock()
    save_encoder(workdir.export / BEST, exported_encoder(run, towers, step))

  return Guard(
    evaluation=evaluation,
    folder=workdir.path / 'guard',
    stop=run.eval.guard == 'stop',
    margin=run.eval.guard_margin,
    keep=keep,
  )


class _NamedOnce:
  """Names each unreadable record once in a run, whoever meets it again."""

  def __init__(self) -> None:
    self._seen: set[str] = set()

  def __call__(self, name: str, reason: str) -> None:
    if name not in self._seen:
      self._seen.add(name)
      _log.warning('%s cannot be read (%s); it is left out', name, reason)


def _say_nothing(name: str, reason: str) -> None:
  del name, reason


def _queries(run: Run, bank: Any) -> Any:
  """The source of the online kNN's queries, or None where there is none."""
  if not bank.class_names:
    _log.info('no labels: the features are watched, but not classified')
    return None
  try:
    return build_eval_source(run.config, split=run.eval.split)
  except UserError as error:
    _log.warning('no online kNN: %s', error)
    return None
