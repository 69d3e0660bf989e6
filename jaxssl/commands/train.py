"""`jaxssl train`: pre-trains an encoder, or goes on with it."""

import argparse
from collections.abc import Callable, Generator, Sequence
import contextlib
import logging

import jax

from jaxssl.arguments import configs
from jaxssl.build import Run, build
from jaxssl.config import Config, config_hash
from jaxssl.config.schema import complete
from jaxssl.data import resizers
from jaxssl.errors import EXIT_GUARDED, EXIT_PREEMPTED, UserError
from jaxssl.failures import tell
from jaxssl.job import check_shapes, exported_encoder, make_job
from jaxssl.parallel import processes
from jaxssl.paths import absolute, is_remote
from jaxssl.pictures.first_views import first_views
from jaxssl.runs import before_after, longer, outlook
from jaxssl.runs.next_commands import next_commands
from jaxssl.train.checkpoint import Checkpoints
from jaxssl.train.loop import Guarded, Preempted, train
from jaxssl.train.state import TrainState, num_parameters
from jaxssl.train.trackers import open_tracker
from jaxssl.train.workdir import Workdir
from jaxssl.train.writers import About, JsonLines, TensorBoard, Writer
from jaxssl.weights import timm_model
from jaxssl.weights.exported import ExportedEncoder, save_encoder

_log = logging.getLogger(__name__)
_ROWS = 8  # pictures that programs which show runs are given

_EXAMPLES = (
  'jaxssl train --method simclr --encoder vit_s16 --data FOLDER --workdir a',
  'jaxssl train --method dino --data photos --workdir b --epochs 20',
  'jaxssl train --config quickstart --workdir c --config.train.steps=200',
  'jaxssl train --workdir c --steps 400          (goes on for longer)',
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  configs.add_arguments(parser, examples=_EXAMPLES)
  parser.usage = f'{parser.usage} --workdir DIR'
  add_place(parser)


def add_place(parser: argparse.ArgumentParser) -> None:
  """Adds where a run lies, and the processes that share it."""
  parser.add_argument(
    '--workdir',
    required=True,
    help='folder of the run; given alone, the run in it goes on',
  )
  parser.add_argument(
    '--coordinator', help='HOST:PORT of process 0, outside of known clusters'
  )
  parser.add_argument(
    '--num_processes', type=int, help='processes of the run, on all hosts'
  )
  parser.add_argument('--process_id', type=int, help='this one, from 0')


@contextlib.contextmanager
def joined(arguments: argparse.Namespace) -> Generator[None]:
  """Joins the other processes, if there are; before any device is used."""
  configs.choose_device(arguments)
  with processes.ending_together(_tell):
    processes.start(
      coordinator=arguments.coordinator,
      num_processes=arguments.num_processes,
      process_id=arguments.process_id,
    )
    yield


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Trains; returns 0 when done, 3 or 42 when stopped after saving."""
  return run_config(configs.resolve(arguments, overrides), arguments)


def run_config(
  config: Config,
  arguments: argparse.Namespace,
  *,
  say: Callable[[Run], object] = lambda run_: None,
) -> int:
  """Trains what a config says.

  Args:
    config: complete.
    arguments: of a parser with `add_place`.
    say: says what is special about the run, before it starts.

  Returns:
    The exit code: 0 when done, 3 when the guard ended it, 42 when stopped
    after saving.
  """
  workdir = Workdir(arguments.workdir)
  try:
    train_config(config, workdir, say=say)
  except Preempted:  # told, also in the log of the run
    return EXIT_PREEMPTED
  except Guarded:
    return EXIT_GUARDED
  return 0


def train_config(
  config: Config,
  workdir: Workdir,
  *,
  say: Callable[[Run], object] = lambda run_: None,
) -> None:
  """Trains a run in its workdir, from its newest checkpoint, to the end.

  Args:
    config: complete.
    workdir: a new folder, or that of the same run.
    say: says what is special about the run, before it starts.

  Raises:
    UserError: if the data, the config, the workdir or a picture is wrong.
    Preempted: after saving, if SIGTERM or Ctrl-C came.
    Guarded: after saving, if the guard ended it.
  """
  run_ = build(config)
  if run_.host_crops:
    resizers.check(run_.input.resizer, run_.augment.bands)
  processes.check_agreement(
    {
      'the code': processes.code_version(),
      'the config': config_hash(config),
      'the data': run_.source.identity,
      'the workdir': str(absolute(workdir.path)),
    }
  )
  if not workdir.checkpoints.exists():
    check_shapes(run_)  # before a folder is made that holds this config
  shorter = longer.shorter_run(run_, workdir)
  step = workdir.newest_step()
  processes.first_does(
    lambda: workdir.claim(config, complete=complete, longer=shorter is not None)
  )
  first = processes.is_first()
  handler = workdir.log_to_file() if first else logging.NullHandler()
  try:
    if run_.tokenizer and first:
      # Evaluation needs it, wherever the workdir is by then.
      run_.tokenizer.save(workdir.tokenizer)
    outlook.tell(run_, workdir, step)
    say(run_)
    if shorter is not None:
      longer.tell(shorter, run_, step)
    train_in_workdir(run_, workdir)
  except Preempted as stopped:
    _tell(stopped)
    raise
  except Guarded as stopped:
    _print_change(workdir)
    _tell(stopped)
    raise
  finally:
    logging.getLogger().removeHandler(handler)
    # On a full disk this fails too, and must not hide why the run ended.
    with contextlib.suppress(OSError, UserError):
      handler.close()
    workdir.release()


def _tell(error: BaseException) -> int:
  """Tells in one line why a run ended; returns the exit code."""
  if isinstance(error, Preempted):
    _log.info('%s; the same command goes on from here', error)
    return EXIT_PREEMPTED
  if isinstance(error, Guarded):
    _log.warning('%s; the run has ended', error)
    return EXIT_GUARDED
  return tell(error, 'train')


def train_in_workdir(run_: Run, workdir: Workdir) -> TrainState:
  """Trains a run to its end and writes the encoder to `export/`."""
  job = make_job(
    run_, begun_with=workdir.config_at_start(run_.config), workdir=workdir
  )
  checkpoints = Checkpoints(
    workdir.checkpoints,
    keep=run_.train.keep,
    keep_every=run_.train.keep_every,
  )

  def make_writers(first_step: int) -> list[Writer]:
    if not processes.is_first():
      return []
    workdir.keep_config(run_.config)  # the checkpoint, if any, is of it
    writers: list[Writer] = [
      JsonLines(
        workdir.metrics_path, first_step=first_step, check=workdir.check_lock
      )
    ]
    writers += _readers(run_, workdir, first_step)
    return writers

  # Closing waits for the others, so whether they live is found out before.
  with contextlib.closing(checkpoints), processes.ending_together(_tell):
    state = train(job, checkpoints=checkpoints, make_writers=make_writers)
  towers = run_.learner.method.export(state.params, state.method_state)
  exported = exported_encoder(run_, towers, run_.num_steps)
  processes.first_does(lambda: _export(workdir, exported))
  _log.info(
    'done: %d steps; encoder of %.2f M parameters in %s',
    run_.num_steps,
    num_parameters(exported.variables['params']) / 1e6,
    workdir.export,
  )
  if job.guard is not None:
    _print_change(workdir)
  _say_next(run_, workdir, exported)
  return state


def _print_change(workdir: Workdir) -> None:
  """Prints what became of the encoder that the run began with."""
  if processes.is_first():
    print(before_after.table(workdir.path / 'guard'))


def _readers(run_: Run, workdir: Workdir, first_step: int) -> list[Writer]:
  """Returns writers for programs that show runs."""
  settings, writers = run_.train, []
  if not (settings.tensorboard or settings.log_to):
    return writers
  pictures = {}
  # Of several processes each has a part of the pictures.
  if first_step == 0 and jax.process_count() == 1:
    pictures = {'views': first_views(run_, _ROWS)}
  about = About(
    name=workdir.path.name,
    config=run_.config,
    pictures=pictures,
    directory=None if is_remote(workdir.path) else str(workdir.path),
  )
  if settings.tensorboard:
    writers.append(TensorBoard(workdir.path / 'tensorboard', about))
  if settings.log_to:
    id_path = workdir.path / f'{settings.log_to}.id'
    writers.append(
      open_tracker(settings.log_to, about, id_path, is_new=first_step == 0)
    )
  return writers


def _say_next(run_: Run, workdir: Workdir, exported: ExportedEncoder) -> None:
  captions = run_.source.captions
  texts = captions[0] if run_.tokenizer and captions is not None else ()
  commands = next_commands(
    workdir.path,
    sentence=texts[0] if texts else None,
    has_classes=bool(run_.source.class_names),
    is_of_timm=bool(timm_model.architecture(exported)),
  )
  _log.info('next:')
  for command in commands:
    _log.info('  %s', command)


def _export(workdir: Workdir, exported: ExportedEncoder) -> None:
  workdir.check_lock()
  save_encoder(workdir.export, exported)
