"""What each kind of evaluation is run on, made of a workdir: one table."""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
from typing import Any, NamedTuple

from jaxssl.data.dense import Pictures
from jaxssl.data.limited import Limited
from jaxssl.data.source import Source
from jaxssl.errors import UserError
from jaxssl.evals import needs, shifted_sets
from jaxssl.evals.corruptions import Corruptions
from jaxssl.evals.evaluation import Evaluation
from jaxssl.evals.finetune import FineTune
from jaxssl.evals.patch_features import PatchEncoder
from jaxssl.evals.shift import Shift
from jaxssl.evals.wise_ft import REFERENCE, WiseFT
from jaxssl.evals.zeroshot import ZeroShot
from jaxssl.runs import baselines, fine_tuning, sources, text_start
from jaxssl.runs.baselines import TRAINED
from jaxssl.runs.classifiers import make_classifier
from jaxssl.runs.opened import OpenedRun
from jaxssl.runs.tuned_judge import TunedJudge, variables_of
from jaxssl.weights.exported import ExportedEncoder

_SPLITS = frozenset({'train_split', 'test_split', 'split'})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
  """One encoder for one evaluation.

  Attributes:
    encoder: what messages and tables call it.
    evaluation: with what follows from the run filled in.
    inputs: the arguments of its `run`.
    exported: where the weights come from, for the record.
  """

  encoder: str
  evaluation: Evaluation
  inputs: tuple[Any, ...]
  exported: ExportedEncoder

  @property
  def is_trained(self) -> bool:
    """Whether it is the run that is measured, and not a baseline."""
    return self.encoder == TRAINED


class Opener(NamedTuple):
  """How the inputs of a kind of evaluation are made.

  Attributes:
    takes: what of `OpenedRun` chooses them, besides data and checkpoint.
    open: refuses at once what does not suit; the work is done on iteration.
  """

  takes: frozenset[str]
  open: Callable[[Any, OpenedRun], Iterator[Subject]]


def open_inputs(
  command: str, evaluation: Evaluation, run: OpenedRun
) -> Iterator[Subject]:
  """Returns what an evaluation is run on.

  Args:
    command: its name on the command line, for messages.
    evaluation: the protocol.
    run: the workdir with its data.

  Raises:
    UserError: at once if data, arguments and evaluation do not go together.
  """
  check_taken(command, evaluation, run)
  return OPENERS[evaluation.needs].open(evaluation, run)


def check_taken(command: str, evaluation: Evaluation, run: OpenedRun) -> None:
  """Raises `UserError` for an argument that an evaluation does not take.

  Args:
    command: as for `open_inputs`.
    evaluation: the protocol.
    run: the workdir with its data.
  """
  opener = OPENERS[evaluation.needs]
  for name in ('layer', 'baselines', *sorted(_SPLITS)):
    if getattr(run, name) and name not in opener.takes:
      kinds = [kind for kind, other in OPENERS.items() if name in other.takes]
      raise UserError(
        f'{command} takes no --{name}, which is for evaluations that need '
        f'{" or ".join(dict.fromkeys(needs.in_words(kind) for kind in kinds))}'
      )


def check_together(evaluations: Mapping[str, Evaluation]) -> None:
  """Raises `UserError` for evaluations that read different splits."""
  (first, *_), found = evaluations, {}
  for command, evaluation in evaluations.items():
    found[command] = OPENERS[evaluation.needs].takes & _SPLITS
    if found[command] != found[first]:
      raise UserError(
        f'{first} and {command} read different splits; run {first} apart from '
        f'{command}'
      )


def _frozen(evaluation: Evaluation, run: OpenedRun) -> Iterator[Subject]:
  exported, splits = run.exported, run.splits
  evaluation.check(splits.train_source, splits.test_source)
  encoders = baselines.encoders(
    exported,
    layer=run.layer,
    baselines=run.baselines is not False,
    start=lambda: run.start,
  )
  return (
    Subject(
      encoder=name,
      evaluation=evaluation,
      inputs=needs.FrozenFeatures(
        splits.features('train', name, encode, run.layer),
        splits.features('test', name, encode, run.layer),
      ),
      exported=exported,
    )
    for name, encode in encoders.items()
  )


def _images(evaluation: Evaluation, run: OpenedRun) -> Iterator[Subject]:
  exported = run.exported
  train, test = _limited(run)
  evaluation.check(train, test)
  encoders = baselines.trainable(exported, baselines=bool(run.baselines))
  return (
    Subject(
      encoder=name,
      evaluation=evaluation,
      inputs=needs.LabelledImages(encoder, train, test),
      exported=encoder,
    )
    for name, encoder in encoders.items()
  )


def _fine_tuning(evaluation: FineTune, run: OpenedRun) -> Iterator[Subject]:
  exported = run.exported
  train, test = _limited(run)
  evaluation.check(train, test)
  if evaluation.templates:
    if run.baselines:
      raise UserError('of --templates and --baselines only one can be given')
    texts = ZeroShot(templates=evaluation.templates, classes=evaluation.classes)
    exported = text_start.with_classifier(run.towers, train, texts)
  encoders = baselines.trainable(exported, baselines=bool(run.baselines))
  parent = run.workdir.path / 'finetune'
  return (
    Subject(
      encoder=name,
      evaluation=evaluation,
      inputs=needs.FineTuning(
        encoder,
        train,
        test,
        fine_tuning.folder_of(parent, evaluation, encoder, train),
      ),
      exported=encoder,
    )
    for name, encoder in encoders.items()
  )


def _limited(run: OpenedRun) -> tuple[Source, Source]:
  """Returns the sources of both splits, at most the limit of each."""
  both = run.splits.train_source, run.splits.test_source
  if run.choice.limit is None:
    return both
  train, test = (Limited(source, run.choice.limit) for source in both)
  return train, test


def _towers(evaluation: Evaluation, run: OpenedRun) -> Iterator[Subject]:
  evaluation.check(run.source)
  model = run.towers

  def subjects() -> Iterator[Subject]:
    images, index = run.tower_features
    captions = run.source.captions
    yield Subject(
      encoder=TRAINED,
      evaluation=evaluation,
      inputs=needs.TowerFeatures(
        images,
        [captions[i] for i in index.tolist()] if captions is not None else [],
        model.encode_text,
      ),
      exported=model.exported,
    )

  return subjects()


def _classified(evaluation: Corruptions, run: OpenedRun) -> Iterator[Subject]:
  _require_rgb('corruptions', run)
  model = make_classifier(run, evaluation.classifier)
  subject = Subject(
    encoder=TRAINED,
    evaluation=dataclasses.replace(
      evaluation,
      image_size=model.exported.image_size,
      classifier=model.evaluation,
    ),
    inputs=needs.ClassifiedImages(
      model.classify, lambda: model.batches(model.source)
    ),
    exported=model.exported,
  )
  return iter((subject,))


def _require_rgb(command: str, run: OpenedRun) -> None:
  if run.exported.preprocessing.bands is not None:
    raise UserError(
      f'{command}: is defined for 8-bit RGB pictures; the encoder takes '
      f'{run.exported.num_channels} channels as stored'
    )


def _shifted(evaluation: Shift, run: OpenedRun) -> Iterator[Subject]:
  shifted = _shifted_sources('shift', evaluation.shifted, run)
  model = make_classifier(run, evaluation.classifier)

  def subjects() -> Iterator[Subject]:
    yield Subject(
      encoder=TRAINED,
      evaluation=dataclasses.replace(evaluation, classifier=model.evaluation),
      inputs=needs.ShiftedFeatures(
        model.judge,
        model.reference(),
        {name: model.features(source) for name, source in shifted.items()},
      ),
      exported=model.exported,
    )

  return subjects()


def _dense(evaluation: Any, run: OpenedRun) -> Iterator[Subject]:
  exported, splits = run.exported, run.splits
  evaluation.check(splits.train_source, splits.test_source)
  train, test = (
    _pictures(source, evaluation, run)
    for source in (splits.train_source, splits.test_source)
  )
  return (
    Subject(
      encoder=name,
      evaluation=dataclasses.replace(evaluation, size=patches.size),
      inputs=needs.DenseFeatures(patches, train, test),
      exported=exported,
    )
    for name, patches in _patch_encoders(evaluation, run)
  )


def _dense_look(evaluation: Any, run: OpenedRun) -> Iterator[Subject]:
  evaluation.check(run.source)
  pictures = _pictures(run.source, evaluation, run)
  return (
    Subject(
      encoder=name,
      evaluation=dataclasses.replace(evaluation, size=patches.size),
      inputs=needs.DenseLook(patches, pictures),
      exported=run.exported,
    )
    for name, patches in _patch_encoders(evaluation, run)
  )


def _pictures(source: Source, evaluation: Any, run: OpenedRun) -> Pictures:
  return Pictures(
    source=source,
    kind=evaluation.target,
    limit=run.choice.limit,
    bands=run.exported.preprocessing.bands,
  )


def _patch_encoders(
  evaluation: Any, run: OpenedRun
) -> Iterator[tuple[str, PatchEncoder]]:
  return baselines.patch_encoders(
    run.exported,
    layer=run.layer,
    size=evaluation.size,
    baselines=run.baselines is not False,
    start=lambda: run.start,
  )


def _tuned(evaluation: WiseFT, run: OpenedRun) -> Iterator[Subject]:
  shifted = _shifted_sources('wise_ft', evaluation.shifted, run)
  folder = fine_tuning.find(run.workdir.path / 'finetune', evaluation.finetuned)
  evaluation.check(run.source)
  start, end = fine_tuning.load_ends(folder)
  judge = TunedJudge(
    exported=end,
    classes=fine_tuning.classes_of(folder, run.source),
    sources={REFERENCE: run.source, **shifted},
    class_map=evaluation.class_map,
    limit=run.choice.limit,
  )
  subject = Subject(
    encoder=TRAINED,
    evaluation=dataclasses.replace(evaluation, finetuned=folder.name),
    inputs=needs.TunedWeights(variables_of(start), variables_of(end), judge),
    exported=end,
  )
  return iter((subject,))


def _shifted_sources(
  command: str, named: Mapping[str, str], run: OpenedRun
) -> dict[str, Source]:
  """Opens the sets of another distribution."""
  shifted_sets.require(command, named)
  section = run.choice.section(run.workdir)
  return {
    name: sources.open_set(text, data_dir=run.choice.data_dir, like=section)
    for name, text in named.items()
  }


_TWO = frozenset({'train_split', 'test_split'})
OPENERS: dict[type, Opener] = {
  needs.FrozenFeatures: Opener(_TWO | {'layer', 'baselines'}, _frozen),
  needs.LabelledImages: Opener(_TWO | {'baselines'}, _images),
  needs.FineTuning: Opener(_TWO | {'baselines'}, _fine_tuning),
  needs.TowerFeatures: Opener(frozenset({'split'}), _towers),
  needs.ClassifiedImages: Opener(_SPLITS, _classified),
  needs.ShiftedFeatures: Opener(_SPLITS, _shifted),
  needs.TunedWeights: Opener(frozenset({'split'}), _tuned),
  needs.DenseFeatures: Opener(_TWO | {'layer', 'baselines'}, _dense),
  needs.DenseLook: Opener(
    frozenset({'split', 'layer', 'baselines'}), _dense_look
  ),
}
