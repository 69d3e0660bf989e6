"""Fine-tuning: the encoder and a linear classifier train on labelled images.

The protocol of masked prediction (MAE, BEiT), whose features are not made for
linear classifiers, and the upper end of transfer for all others. The method is
`methods.supervised.Supervised`, the loop and the step are those of
pre-training, so a run that was stopped goes on.
"""

import contextlib
import dataclasses
import functools
import json
import logging
import pathlib
from typing import Any

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import atomic_file, data, errors, models
from jaxssl import config as config_lib
from jaxssl.augment import geometry
from jaxssl.augment.crop_spec import CropSpec
from jaxssl.augment.erase import Erase
from jaxssl.augment.mix import Mix
from jaxssl.augment.view import Augment, View
from jaxssl.data.limited import Limited
from jaxssl.data.source import Source, fingerprint
from jaxssl.evals import features as features_lib
from jaxssl.evals import linear
from jaxssl.methods.base import PyTree
from jaxssl.methods.supervised import Supervised
from jaxssl.ops import schedules
from jaxssl.parallel import modes
from jaxssl.train import optim
from jaxssl.train.checkpoint import Checkpoints
from jaxssl.train.learner import Learner
from jaxssl.train.loop import Job, train
from jaxssl.train.state import Augment as AugmentFn
from jaxssl.train.workdir import Workdir
from jaxssl.train.writers import JsonLines
from jaxssl.weights.exported import ExportedEncoder, save_encoder

# Pictures of up to this side are small enough to be cropped on the device.
_SMALL = 64
# Folder of a fine-tuning: what it started from.
START = 'start'
# What an adapted encoder may have and the pre-trained one lack.
_FRESH = ('fc_norm', 'attn_pool')
# As in MAE's and BEiT's code, beside all that has one dimension.
_WITHOUT_DECAY = r'head/bias|cls_token|pos_embed'
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTune:
  """Fine-tuning with AdamW, a warm-up and a cosine; every field is a number.

  The training images get a random resized crop (bicubic) and a flip, then what
  `erase_prob`, `mixup` and `cutmix` say; the test images a centre crop. The
  test labels choose nothing: the accuracy is that after the last step.

  Attributes:
    name: of the protocol.
    epochs: passes over the training images.
    batch_size: images a step, over all devices.
    learning_rate: for batch 256; scaled with the batch.
    warmup_epochs: of a linear warm-up from 0.
    end_learning_rate: where the cosine ends, not scaled.
    weight_decay: of AdamW; not for biases, scales, class token and positions.
    layer_decay: d of `optim.make_optimizer`; 1: all layers learn alike.
    drop_path: of the last block, linear over the depth.
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
    seed: of the order and all random numbers.
  """

  name: str
  epochs: float
  batch_size: int
  learning_rate: float
  warmup_epochs: float
  end_learning_rate: float = 1e-6
  weight_decay: float = 0.05
  layer_decay: float = 1.0
  drop_path: float = 0.0
  pool: str = 'same'
  label_smoothing: float = 0.1
  mixup: float = 0.0
  cutmix: float = 0.0
  erase_prob: float = 0.0
  average: float = 0.0
  templates: tuple[str, ...] = ()
  seed: int = 0

  def run(
    self,
    exported: ExportedEncoder,
    train_source: Source,
    test_source: Source,
    *,
    folder: pathlib.Path,
    limit: int | None = None,
  ) -> dict[str, float]:
    """Fine-tunes, or goes on where it was stopped, and measures.

    Args:
      exported: the pre-trained encoder.
      train_source: images with labels.
      test_source: images with labels of the same classes.
      folder: for checkpoints, metrics and the result, in a folder of its own
        for each combination of settings, encoder and data. `export/` in it
        then holds the encoder, with `classifier` beside it; with `templates`,
        `start/` holds both as they were before.
      limit: use at most so many images of each source.

    Returns:
      `top1`, the fraction of test images classified right; `num_steps`,
      `num_train`, `num_test`.

    Raises:
      jaxssl.errors.UserError: if settings, encoder and data do not go together.
      jaxssl.train.loop.Preempted: after saving, if SIGTERM or Ctrl-C came.
    """
    if limit is not None:
      train_source = Limited(train_source, limit)
      test_source = Limited(test_source, limit)
    num_classes = _num_classes(train_source, test_source)
    adapted = _adapted(exported, pool=self.pool, drop_path=self.drop_path)
    place = self._place(folder, exported, train_source)
    if self.templates:
      _check_start(self, adapted, num_classes)
      save_encoder(place.path / START, adapted)
    job = _job(self, adapted, train_source, num_classes)
    tuned = _train(job, adapted, place)
    _log.info('wrote %s', save_encoder(place.export, tuned))
    test = _features(tuned, test_source)
    classifier = jax.tree.map(lambda x: x[None], tuned.towers['classifier'])
    return {
      'top1': float(linear.sweep_top1(classifier, test)[0]),
      'num_steps': job.num_steps,
      'num_train': train_source.num_examples,
      'num_test': len(test.labels),
    }

  def _place(
    self, folder: pathlib.Path, exported: ExportedEncoder, source: Source
  ) -> Workdir:
    """Returns the folder of this fine-tuning, which says what it is of."""
    what = {
      'settings': dataclasses.asdict(self),
      'encoder': exported.config_hash,
      'step': exported.step,
      'preprocessing': dataclasses.asdict(exported.preprocessing),
      'data': source.fingerprint,
    }
    if self.templates:
      what['classifier'] = fingerprint(
        *jax.tree.leaves(exported.towers['classifier'])
      )
    place = Workdir(folder / f'{self.name}-{config_lib.config_hash(what)}')
    atomic_file.write_text(
      place.path / 'finetune.json', json.dumps(what, indent=2) + '\n'
    )
    return place


# For small data and a first look: minutes on two cores.
_SMALL_PRESET = FineTune(
  name='finetune-v1',
  epochs=2.0,
  batch_size=64,
  learning_rate=4e-3,
  warmup_epochs=0.2,
)
# ViT-B of arXiv 2111.06377, table 9, and FINETUNE.md of facebookresearch/mae.
_MAE = FineTune(
  name='finetune_mae-v1',
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
_BEIT = dataclasses.replace(
  _MAE, name='finetune_beit-v1', learning_rate=1e-3, warmup_epochs=20.0
)
PRESETS = {
  'finetune': _SMALL_PRESET,
  'finetune_mae': _MAE,
  'finetune_beit': _BEIT,
}


def make_augment(
  settings: FineTune, *, size: int, mean: Any, std: Any
) -> tuple[Augment, AugmentFn]:
  """Returns the crop and flip of the training images, and all that is done.

  Args:
    settings: of the fine-tuning.
    size: side of the images in pixels.
    mean: of each channel, subtracted.
    std: of each channel, divided by.
  """
  view = View(
    crop=CropSpec(size=size, interpolation='bicubic'),
    ops=(geometry.random_flip_left_right,),
  )
  plain = Augment(views=(view,), mean=tuple(mean), std=tuple(std))
  whole = plain
  if settings.erase_prob:
    whole = Erase(augment=whole, prob=settings.erase_prob)
  if settings.mixup or settings.cutmix:
    whole = Mix(augment=whole, mixup=settings.mixup, cutmix=settings.cutmix)
  return plain, whole


def _num_classes(train_source: Source, test_source: Source) -> int:
  """Returns the number of classes; they must be those of both splits."""
  splits = [
    features_lib.Features(
      np.zeros((0, 1), np.float32),
      np.zeros(0, np.int32),
      tuple(source.class_names or ()),
    )
    for source in (train_source, test_source)
  ]
  return features_lib.num_classes_of(*splits)


def _adapted(
  exported: ExportedEncoder, *, pool: str, drop_path: float
) -> ExportedEncoder:
  """Returns the encoder with another pooling and drop path."""
  section = dict(exported.section)
  if pool != 'same':
    section |= {'pool': pool, 'fc_norm': None}
  if drop_path or 'drop_path' in section:
    section['drop_path'] = drop_path
  if section.get('use_mask_token'):
    section['use_mask_token'] = False
  encoder = models.make_encoder(**section)
  size = exported.image_size
  fresh = jax.jit(encoder.init)(
    jax.random.key(0), jnp.zeros((1, size, size, 3))
  )
  variables = _overlaid(jax.device_get(fresh), exported.variables)
  return dataclasses.replace(exported, section=section, variables=variables)


def _overlaid(fresh: PyTree, trained: PyTree) -> PyTree:
  """Returns the fresh variables, replaced by trained ones where there are."""
  old = traverse_util.flatten_dict(trained)
  new = traverse_util.flatten_dict(fresh)
  for path, value in new.items():
    if path in old and old[path].shape == value.shape:
      new[path] = old[path]
    elif path[1] not in _FRESH:
      raise errors.UserError(
        f'the encoder has no weights for {".".join(path)!r}; give the pool of '
        'its pre-training'
      )
  return traverse_util.unflatten_dict(new)


def _job(
  settings: FineTune,
  exported: ExportedEncoder,
  source: Source,
  num_classes: int,
) -> Job:
  batch_size = settings.batch_size
  _check_batch(batch_size)
  steps_per_epoch = source.num_examples / batch_size
  num_steps = max(1, round(settings.epochs * steps_per_epoch))
  rate = schedules.cosine(
    start=settings.learning_rate * batch_size / 256,
    end=settings.end_learning_rate,
    num_steps=num_steps,
    warmup_steps=round(settings.warmup_epochs * steps_per_epoch),
  )
  plain, augment = make_augment(
    settings, size=exported.image_size, mean=exported.mean, std=exported.std
  )
  return Job(
    learner=Learner(
      method=Supervised(
        encoder=exported.encoder,
        num_classes=num_classes,
        label_smoothing=settings.label_smoothing,
        average=settings.average,
      ),
      augment=augment,
      tx=_optimizer(settings, rate),
    ),
    mode=modes.Jit(modes.make_mesh()),
    make_batches=functools.partial(_batches, settings, plain, source),
    shapes=data.batch_shapes(batch_size, **_pictures(plain)),
    seed=settings.seed,
    num_steps=num_steps,
    batch_size=batch_size,
    log_steps=min(50, num_steps),
    checkpoint_steps=1000,
    eval_steps=num_steps + 1,
    evaluate=None,
    learning_rate=rate,
    meta={'data': source.identity, 'files': source.fingerprint},
    encoder=_start(settings, exported),
  )


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


def _start(settings: FineTune, exported: ExportedEncoder) -> PyTree:
  """Returns what `Supervised.with_encoder` takes."""
  if not settings.templates:
    return exported.variables
  return {**exported.variables, 'classifier': exported.towers['classifier']}


def _check_batch(batch_size: int) -> None:
  devices = jax.device_count()
  if batch_size < 1 or batch_size % devices:
    raise errors.UserError(
      f'batch_size {batch_size} does not divide over {devices} devices; use '
      f'for example {max(batch_size // devices, 1) * devices}'
    )


def _optimizer(settings: FineTune, rate: schedules.Schedule):
  return optim.make_optimizer(
    name='adamw',
    learning_rate=rate,
    weight_decay=settings.weight_decay,
    exclude='ndim<=1',
    rules=({'match': _WITHOUT_DECAY, 'weight_decay': 0.0},),
    layer_decay=None if settings.layer_decay == 1 else settings.layer_decay,
  )


def _batches(
  settings: FineTune, plain: Augment, source: Source, first_step: int
) -> data.TrainBatches:
  return data.train_batches(
    source,
    batch_size=settings.batch_size,
    seed=settings.seed,
    first_step=first_step,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
    **_pictures(plain),
  )


def _pictures(plain: Augment) -> dict[str, Any]:
  """Returns how the pictures of a batch are cut: here, or on the device."""
  size = plain.crops[0].size
  return {'image_size': size} if size <= _SMALL else {'crops': plain.crops}


def _train(
  job: Job, exported: ExportedEncoder, place: Workdir
) -> ExportedEncoder:
  """Trains to the end; returns the encoder, with its classifier beside it."""
  checkpoints = Checkpoints(place.checkpoints, keep=2)
  with contextlib.closing(checkpoints):
    state = train(
      job,
      checkpoints=checkpoints,
      make_writers=lambda first: [
        JsonLines(place.metrics_path, first_step=first)
      ],
    )
  method, method_state = job.learner.method, state.method_state
  heads = jax.device_get(method.classifiers(state.params, method_state))
  towers = jax.device_get(method.export(state.params, method_state))
  return dataclasses.replace(
    exported,
    variables=towers['encoder'],
    step=job.num_steps,
    towers={'classifier': jax.tree.map(lambda x: x[0], heads)},
  )


def _features(
  exported: ExportedEncoder, source: Source
) -> features_lib.Features:
  found = features_lib.extract(
    features_lib.encode_fn(
      exported.encoder, exported.variables, exported.normalize
    ),
    data.eval_batches(
      source, batch_size=256, preprocessing=exported.preprocessing
    ),
    class_names=source.class_names or (),
  )
  return features_lib.labelled(found, 'test')
