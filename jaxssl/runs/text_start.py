"""A classifier of features that begins as the texts of its classes say."""

from collections.abc import Callable
import dataclasses

import jax.numpy as jnp
import numpy as np

from jaxssl.data.source import Source
from jaxssl.errors import UserError
from jaxssl.evals import features as features_lib
from jaxssl.evals import zeroshot
from jaxssl.evals.zeroshot import ZeroShot
from jaxssl.methods import variables as variables_lib
from jaxssl.models import Projection
from jaxssl.runs import sources, towers
from jaxssl.runs.towers import Towers
from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import ExportedEncoder

# Images whose mean length in the joint space is measured.
_IMAGES = 512


def with_classifier(
  model: Towers, source: Source, texts: ZeroShot
) -> ExportedEncoder:
  """Returns the encoder with a tower `classifier`.

  Args:
    model: both towers.
    source: training images, with the names of the classes.
    texts: templates and names of the classes.

  Raises:
    UserError: for a projection that is not linear, or what does not suit
      zero-shot classification.
  """
  texts.check(source)
  exported = model.exported
  names = texts.names(tuple(source.class_names or ()))
  found = features_lib.extract(
    features_lib.encode_fn(
      exported.encoder, exported.variables, exported.normalize
    ),
    sources.batches(source, exported, limit=_IMAGES),
    class_names=source.class_names or (),
  )
  classifier = zeroshot.as_classifier(
    zeroshot.encode_classes(model.encode_text, names, texts.templates),
    _projection(model.workdir, exported),
    found.features,
    scale=float(np.exp(exported.towers['logits']['params']['scale'])),
  )
  changed = {**exported.towers, 'classifier': classifier}
  return dataclasses.replace(exported, towers=changed)


def _projection(
  workdir: Workdir, exported: ExportedEncoder
) -> Callable[[np.ndarray], np.ndarray]:
  """Returns features -> joint space."""
  method = towers.build_method(towers.read_config(workdir))
  if not method.project_images:
    return lambda features: features
  head = method.head
  if not isinstance(head, Projection) or head.num_layers != 1:
    raise UserError(
      'the images of this run are projected by two layers, so no linear '
      'classifier decides as its texts do; leave --templates out'
    )
  variables = exported.towers['image_head']
  return lambda x: np.asarray(
    variables_lib.apply(head, variables, jnp.asarray(x), train=False)
  )
