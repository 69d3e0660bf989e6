"""Sections of a config that belong to no constructor of their own."""

from collections.abc import Mapping
import dataclasses
from typing import Any, Literal

from jaxssl.augment.bands import Bands, ValueRange, make_bands
from jaxssl.augment.crop_spec import Resizer
from jaxssl.augment.preprocessing import Channels, Interpolation, Resize
from jaxssl.fields import Count, Fraction, Natural, Positive


@dataclasses.dataclass(frozen=True, kw_only=True)
class Input:
  """Section `input`: how records become batches.

  Attributes:
    crop: `'device'` sends whole pictures of one size to the accelerator and
      crops there; `'host'` crops first and sends the crops (big pictures).
    resizer: what resizes with `crop='host'`: `'pillow'`, or `'cykooz'`, a
      faster one that has to be installed. Evaluation has Pillow always.
    image_size: side of the pictures with `crop='device'`, and of evaluation
      unless section `eval` says another.
    channels: None: pictures are made 8-bit RGB. A number: their channels are
      kept as stored, up to 16 bits, and a picture of another number counts as
      unreadable.
    value_range: with `channels`: the stored values that become 0 and 1; by
      default 0 and 255 of files of 8 bits, 0 and 65535 of 16.
    mean: of each channel of pixels in [0, 1], subtracted from all views; that
      of the recipe by default, which with `channels` other than 3 has none.
    std: of each channel, divided by; the same.
    strict: an unreadable record ends the run instead of being replaced.
    num_threads: number of threads of the host; its number of cores by default.
    prefetch: batches made ahead.
    captions: captions of each picture in a batch, for a method that takes text:
      all are its positives. A picture that has fewer gives some of them again.
  """

  crop: Literal['device', 'host'] = 'device'
  resizer: Resizer = 'pillow'
  image_size: Count = 32
  channels: Count | None = None
  value_range: ValueRange | None = None
  mean: Channels | None = None
  std: Channels | None = None
  strict: bool = False
  num_threads: Count | None = None
  prefetch: Natural = 2
  captions: Count = 1

  @property
  def bands(self) -> Bands | None:
    """How pictures are read; None: as 8-bit RGB."""
    return make_bands(self.channels, self.value_range)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train:
  """Section `train`: how long, how much at a time, how often what.

  Attributes:
    steps: optimizer steps; wins over `epochs`.
    epochs: passes over the data.
    batch_size: images in the global batch, over all devices and hosts.
    micro_batches: parts that the batch goes through the networks in, where it
      does not fit into memory; the gradient stays that of the whole batch. A
      step of a contrastive method takes about a third longer. Refused where
      the rows of a batch meet on the way (BatchNorm; MoCo).
    mode: `'jit'` or `'pmap'`.
    num_devices: how many devices; all by default.
    fsdp: how many devices share one copy of the state (parameters, optimizer,
      method), each with a part of every large array: 1 for a whole state on
      each, None for one state in all; with mode `'jit'`.
    deterministic: have GPUs run every step with the same bits each time, so
      that a resumed run ends as one that was not stopped; slower, with mode
      `'jit'`. CPUs and TPUs always do.
    log_steps: metrics are written every so many steps.
    checkpoint_steps: the state is saved every so many steps.
    init_encoder: a workdir of `train` or `import`, or a folder of an exported
      encoder: what the encoder starts from, and the slow network of a method
      that has one (all methods but dvae).
    init_text_encoder: the same of an image-text run, whose text tower the run
      starts from (clip, siglip, siglip2, coca).
    keep: how many of the newest checkpoints are kept.
    keep_every: besides, keep steps that this divides.
    tensorboard: whether to write TensorBoard events.
    log_to: a tracker that gets the metrics as well: `'mlflow'`, `'trackio'` or
      `'wandb'`, each of which is a package to install.
  """

  steps: Count | None = None
  epochs: Positive | None = None
  batch_size: Count = 256
  micro_batches: Count = 1
  mode: Literal['jit', 'pmap'] = 'jit'
  num_devices: Count | None = None
  fsdp: Count | None = 1
  deterministic: bool = False
  log_steps: Count = 50
  checkpoint_steps: Count = 1000
  init_encoder: str | None = None
  init_text_encoder: str | None = None
  keep: Count = 3
  keep_every: Count | None = None
  tensorboard: bool = True
  log_to: Literal['mlflow', 'trackio', 'wandb'] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Eval:
  """Section `eval`: the look at the features during training.

  Attributes:
    steps: every so many steps, and at both ends; 0 switches it off.
    data: keys of section `data` that evaluation replaces, for bank and queries
      (for example smaller cut-outs than those that are trained on).
    image_size: side of the pictures; that of section `input` by default.
    guard: `'keep'` compares each look with the first one, by the kNN (without
      labels by neighbours and effective rank), says when it is worse by more
      than `guard_margin`, and keeps the best encoder in `export/best`; `'stop'`
      also ends the run then, with exit code 3.
    guard_margin: by so much the kNN may fall, as a share of the pictures.
    split: split of the data that is classified.
    k: neighbours of the online kNN.
    limit: at most so many images of each split.
    batch_size: images a forward pass.
    crop_fraction: share of the resized shorter side that the centre crop
      keeps; by default 1 for a method with texts (as openai/CLIP and open_clip)
      and for pictures of at most 64 pixels, else 0.875.
    resize: `'shortest'` or `'squash'`, see `augment.preprocessing`.
    interpolation: Pillow's filter that resizes, for example `'bilinear'`.
  """

  steps: Natural = 1000
  data: Mapping[str, Any] | None = None
  image_size: Count | None = None
  guard: Literal['off', 'keep', 'stop'] = 'off'
  guard_margin: Fraction = 0.05
  split: str = 'test'
  k: Count = 20
  limit: Count = 10000
  batch_size: Count = 256
  crop_fraction: Positive | None = None
  resize: Resize = 'shortest'
  interpolation: Interpolation = 'bicubic'
