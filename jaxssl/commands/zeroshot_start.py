"""`jaxssl eval finetune --templates`: the classifier starts from texts."""

import argparse
from collections.abc import Callable
import dataclasses
from typing import Any

import numpy as np

from jaxssl import build
from jaxssl.commands import datasets, evaluate_pairs, towers
from jaxssl.errors import UserError
from jaxssl.evals import features as features_lib
from jaxssl.evals import prompts, zeroshot
from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import ExportedEncoder

# Images whose mean length in the joint space is measured.
_IMAGES = 512


def with_classifier(
  arguments: argparse.Namespace, workdir: Workdir, source: Any
) -> tuple[ExportedEncoder, tuple[str, ...]]:
  """Returns the encoder with a tower `classifier`, and the texts behind it.

  Args:
    arguments: of the command: `classes`, `templates`, `step`.
    workdir: of an image-text run.
    source: training images, with the names of the classes.

  Raises:
    UserError: for a run without text, a projection that is not linear, or what
      does not suit zero-shot classification.
  """
  evaluate_pairs.check_zeroshot(source, arguments)
  model = towers.load(workdir, step=arguments.step)
  exported = model.exported
  templates = prompts.load_templates(arguments.templates)
  names = evaluate_pairs.class_names(source, arguments)
  found = features_lib.extract(
    features_lib.encode_fn(
      exported.encoder, exported.variables, exported.normalize
    ),
    datasets.batches(source, exported, limit=_IMAGES),
    class_names=source.class_names,
  )
  classifier = zeroshot.as_classifier(
    zeroshot.encode_classes(model.encode_text, names, templates),
    _projection(workdir, exported),
    found.features,
    scale=float(np.exp(exported.towers['logits']['params']['scale'])),
  )
  changed = {**exported.towers, 'classifier': classifier}
  return dataclasses.replace(exported, towers=changed), templates


def _projection(
  workdir: Workdir, exported: ExportedEncoder
) -> Callable[[np.ndarray], np.ndarray]:
  """Returns features -> joint space."""
  method = build.build_method(towers.read_config(workdir))
  if not method.project_images:
    return lambda features: features
  if method.head.num_layers != 1:
    raise UserError(
      'the images of this run are projected by two layers, so no linear '
      'classifier decides as its texts do; leave --templates out'
    )
  variables = exported.towers['image_head']
  return lambda x: np.asarray(method.head.apply(variables, x, train=False))
