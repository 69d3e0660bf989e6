"""Fine-tuning: the encoder and a linear classifier train on labelled images.

The protocol of masked prediction (MAE, BEiT), whose features are not made for
linear classifiers, and the upper end of transfer for all others. The method is
`methods.supervised.Supervised`, the loop and the step are those of
pre-training, so a run that was stopped goes on.
"""

import dataclasses
from typing import ClassVar

import jax
import optax

from jaxssl import data, errors
from jaxssl.data.source import Source
from jaxssl.evals import (
  adapted_encoder,
  images,
  labels,
  probe,
  prompts,
  tuned_views,
)
from jaxssl.evals.needs import FineTuning, Place
from jaxssl.evals.table import headline
from jaxssl.fields import (
  Count,
  DropRate,
  Fraction,
  Natural,
  NonNegative,
  Positive,
  check_fields,
)
from jaxssl.methods.base import PyTree
from jaxssl.methods.supervised import Supervised
from jaxssl.models import remat
from jaxssl.ops import schedules
from jaxssl.parallel import modes
from jaxssl.train import optim
from jaxssl.train.learner import Learner
from jaxssl.train.loop import Job
from jaxssl.weights.exported import ExportedEncoder

# As in MAE's and BEiT's code, beside all that has one dimension.
_WITHOUT_DECAY = r'head/bias|cls_token|pos_embed'


@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTune:
  """Fine-tuning of encoder and classifier with AdamW, a warm-up and a cosine.

  The training images get a random resized crop (bicubic) and a flip, then what
  `erase_prob`, `mixup` and `cutmix` say; the test images a centre crop. The
  test labels choose nothing: the accuracy is that after the last step.

  Attributes:
    name: name and version.
    epochs: passes over the training images.
    min_steps: more passes where they would be fewer steps; 0: never.
    batch_size: images per step, over all devices; all, if there are fewer.
    learning_rate: learning rate for batch 256; scaled with the batch.
    warmup_epochs: epochs of a linear warm-up from 0.
    end_learning_rate: where the cosine ends, not scaled.
    weight_decay: decay of AdamW; not for biases, scales, class token and
      positions.
    layer_decay: d of `optim.make_optimizer`; 1: all layers learn alike.
    drop_path: rate of the last block, linear over the depth.
    pool: `'avg'` (mean of the patches with a norm of its own, which starts
      fresh; the final norm of the encoder is dropped), `'cls'`, or `'same'` as
      in pre-training.
    label_smoothing: ε.
    mixup: α of `augment.mix.Mix`; 0: none.
    cutmix: α of `augment.mix.Mix`; 0: none.
    erase_prob: probability of `augment.erase.Erase`.
    average: momentum of an average of the weights, which is then measured; 0:
      none.
    templates: the classifier starts from the features of the classes' names in
      these texts (`zeroshot.as_classifier`), the tower `classifier` of what is
      tuned; empty: from zero.
    classes: with templates, as in `zeroshot.ZeroShot`.
    seed: seed of the order and all random numbers.
  """

  needs: ClassVar[type] = FineTuning
  name: str
  epochs: Positive
  min_steps: Natural = 0
  batch_size: Count
  learning_rate: NonNegative
  warmup_epochs: NonNegative
  end_learning_rate: NonNegative = 1e-6
  weight_decay: NonNegative = 0.05
  layer_decay: Positive = 1.0
  drop_path: DropRate = 0.0
  pool: str = 'same'
  label_smoothing: DropRate = 0.1
  mixup: NonNegative = 0.0
  cutmix: NonNegative = 0.0
  erase_prob: Fraction = 0.0
  average: DropRate = 0.0
  templates: tuple[str, ...] = dataclasses.field(
    default=(), metadata=prompts.AS_TEXT
  )
  classes: str = 'data'
  seed: int = 0

  check = labels.require
  table = headline

  def __post_init__(self) -> None:
    """Raises `UserError` for numbers out of range and lone `classes`."""
    check_fields(self)
    if self.classes != 'data' and not self.templates:
      raise errors.UserError('--classes needs --templates, for example photo')

  def run(
    self,
    exported: ExportedEncoder,
    train_source: Source,
    test_source: Source,
    place: Place,
  ) -> dict[str, float]:
    """Fine-tunes, or goes on where it was stopped, and measures.

    Args:
      exported: the pre-trained encoder; with `templates`, a tower `classifier`
        beside it.
      train_source: images with labels.
      test_source: images with labels of the same classes.
      place: keeps checkpoints, what comes out, and with `templates` what it
        started from.

    Returns:
      `top1`, the fraction of test images classified right, and
      `mean_per_class`, its mean over classes; `num_steps`,
      `num_train`, `num_test`.

    Raises:
      jaxssl.errors.UserError: if settings, encoder and data do not go together.
      jaxssl.train.loop.Preempted: after saving, if SIGTERM or Ctrl-C came.
    """
    num_classes = images.num_classes_of(train_source, test_source)
    adapted = adapted_encoder.adapted(
      exported, pool=self.pool, drop_path=self.drop_path
    )
    if self.templates:
      _check_start(self, adapted, num_classes)
      place.save_start(adapted)
    method = Supervised(
      encoder=adapted.encoder,
      num_classes=num_classes,
      label_smoothing=self.label_smoothing,
      average=self.average,
    )
    job = _job(self, method, adapted, train_source)
    tuned = adapted_encoder.tuned(adapted, method, place.train(job))
    place.save(tuned)
    test = images.features_of(
      tuned, test_source, 'test', class_names=train_source.class_names
    )
    classifier = jax.tree.map(lambda x: x[None], tuned.towers['classifier'])
    predicted = probe.sweep_predicted(classifier, test)[0]
    probe.require_answers(
      predicted, f'fine-tuning at learning_rate {self.learning_rate:g}'
    )
    return {
      **labels.accuracies(predicted, test.labels),
      'num_steps': job.num_steps,
      'num_train': train_source.num_examples,
      'num_test': len(test.labels),
    }


# For small data and a first look: minutes on two cores.
SMALL = FineTune(
  name='finetune-v3',
  epochs=2.0,
  min_steps=100,
  batch_size=64,
  learning_rate=4e-3,
  warmup_epochs=0.2,
)
# ViT-B of arXiv 2111.06377, table 9, and FINETUNE.md of facebookresearch/mae.
MAE = FineTune(
  name='finetune_mae-v3',
  epochs=100.0,
  batch_size=1024,
  learning_rate=5e-4,
  warmup_epochs=5.0,
  layer_decay=0.65,
  drop_path=0.1,
  pool='avg',
  mixup=0.8,
  cutmix=1.0,
  erase_prob=0.25,
)
# ViT-B of arXiv 2106.08254 and beit/README.md of microsoft/unilm: learning rate
# 4e-3 at batch 1024.
BEIT = dataclasses.replace(
  MAE, name='finetune_beit-v3', learning_rate=1e-3, warmup_epochs=20.0
)


def _job(
  settings: FineTune,
  method: Supervised,
  exported: ExportedEncoder,
  source: Source,
) -> Job:
  batch_size = _batch_size(settings, source.num_examples)
  steps_per_epoch = source.num_examples / batch_size
  wanted = max(1, round(settings.epochs * steps_per_epoch))
  num_steps = max(wanted, settings.min_steps)
  rate = schedules.cosine(
    start=settings.learning_rate * batch_size / 256,
    end=settings.end_learning_rate,
    num_steps=num_steps,
    # The same share of the run, however long it is.
    warmup_steps=round(
      settings.warmup_epochs * steps_per_epoch * num_steps / wanted
    ),
  )
  plain, augment = tuned_views.make_augment(
    size=exported.image_size,
    mean=exported.mean,
    std=exported.std,
    bands=exported.preprocessing.bands,
    erase_prob=settings.erase_prob,
    mixup=settings.mixup,
    cutmix=settings.cutmix,
  )
  return Job(
    learner=Learner(
      method=method, augment=augment, tx=_optimizer(settings, rate)
    ),
    mode=modes.Jit(modes.make_mesh(), recomputes=remat.is_on(method)),
    make_batches=lambda first_step: images.train_batches(
      source,
      plain,
      batch_size=batch_size,
      seed=settings.seed,
      first_step=first_step,
    ),
    shapes=data.batch_shapes(batch_size, **images.pictures(plain)),
    seed=settings.seed,
    num_steps=num_steps,
    batch_size=batch_size,
    log_steps=min(50, num_steps),
    checkpoint_steps=1000,
    eval_steps=num_steps + 1,
    evaluate=None,
    learning_rate=rate,
    meta={'data': source.identity, 'files': source.fingerprint},
    load_towers=lambda: _start(settings, exported),
  )


def _batch_size(settings: FineTune, num_images: int) -> int:
  """Returns the batch: not more images than there are, if they divide."""
  images.check_batch(settings.batch_size)
  devices = jax.device_count()
  return min(settings.batch_size, max(num_images // devices, 1) * devices)


def _check_start(
  settings: FineTune, exported: ExportedEncoder, num_classes: int
) -> None:
  if settings.pool != 'same':
    raise errors.UserError(
      'the texts describe the pooled features of pre-training; with templates '
      "give pool='same'"
    )
  kernel = exported.towers['classifier']['kernel']
  if kernel.shape[1] != num_classes:
    raise errors.UserError(
      f'{kernel.shape[1]} classes are described, but the data has {num_classes}'
    )


def _start(settings: FineTune, exported: ExportedEncoder) -> dict[str, PyTree]:
  """Returns the towers that fine-tuning starts from."""
  towers = {'encoder': exported.variables}
  if not settings.templates:
    return towers
  return {**towers, 'classifier': exported.towers['classifier']}


def _optimizer(
  settings: FineTune, rate: schedules.Schedule
) -> optax.GradientTransformation:
  return optim.make_optimizer(
    name='adamw',
    learning_rate=rate,
    weight_decay=settings.weight_decay,
    exclude='ndim<=1',
    rules=({'match': _WITHOUT_DECAY, 'weight_decay': 0.0},),
    layer_decay=None if settings.layer_decay == 1 else settings.layer_decay,
  )
