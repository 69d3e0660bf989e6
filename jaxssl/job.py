"""From the objects of a run to what the loop needs."""

from collections.abc import Iterable
import functools
import logging
from typing import Any

import jax

from jaxssl import data
from jaxssl.build import Run, build_source
from jaxssl.config import config_hash
from jaxssl.errors import UserError
from jaxssl.evals.online import OnlineEvaluation
from jaxssl.train.loop import Job
from jaxssl.weights.exported import ExportedEncoder

_log = logging.getLogger(__name__)


def make_job(run: Run) -> Job:
  """Returns the job of a run."""
  return Job(
    method=run.method,
    augment=run.augment,
    tx=run.tx,
    mode=run.mode,
    make_batches=functools.partial(_train_batches, run),
    seed=run.seed,
    num_steps=run.num_steps,
    batch_size=run.train.batch_size,
    log_steps=run.train.log_steps,
    checkpoint_steps=run.train.checkpoint_steps,
    eval_steps=run.eval.steps or run.num_steps + 1,
    evaluate=_online_evaluation(run) if run.eval.steps else None,
    learning_rate=run.learning_rate,
    meta={'data': run.source.fingerprint, 'config': config_hash(run.config)},
  )


def eval_batches(run: Run, source: Any, limit: int | None = None) -> Iterable:
  """Returns evaluation batches of a source, prepared as the run says."""
  return data.eval_batches(
    source,
    batch_size=run.eval.batch_size,
    image_size=run.input.image_size,
    crop_fraction=run.eval.crop_fraction,
    limit=limit,
  )


def exported_encoder(run: Run, variables: Any, step: int) -> ExportedEncoder:
  """Returns the encoder of a run as `jaxssl export` writes it."""
  return ExportedEncoder(
    section=run.config['encoder'],
    variables=jax.device_get(variables),
    image_size=run.input.image_size,
    mean=run.augment.mean,
    std=run.augment.std,
    step=step,
    config_hash=config_hash(run.config),
  )


def _train_batches(run: Run, first_step: int) -> Any:
  host = run.input.crop == 'host'
  return data.train_batches(
    run.source,
    batch_size=run.train.batch_size,
    seed=run.seed,
    first_step=first_step,
    crops=run.augment.crops if host else None,
    image_size=None if host else run.input.image_size,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
    strict=run.input.strict,
    prefetch=run.input.prefetch,
    num_threads=run.input.num_threads,
  )


def _online_evaluation(run: Run) -> OnlineEvaluation:
  limit, queries = run.eval.limit, _queries(run)
  return OnlineEvaluation(
    encoder=run.encoder,
    normalize=run.augment.normalize,
    train_batches=functools.partial(eval_batches, run, run.source, limit),
    test_batches=(
      queries and functools.partial(eval_batches, run, queries, limit)
    ),
    class_names=tuple(run.source.class_names or ()),
    k=run.eval.k,
  )


def _queries(run: Run) -> Any:
  """The source of the online kNN's queries, or None where there is none."""
  if not run.source.class_names:
    _log.info('no labels: the features are watched, but not classified')
    return None
  try:
    return build_source(run.config, split=run.eval.split)
  except UserError as error:
    _log.warning('no online kNN: %s', error)
    return None
