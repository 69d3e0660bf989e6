"""Linear segmentation: the class of each pixel from frozen patch features.

As DINOv2 reports it (arXiv:2304.07193, section 7.4, "linear"): a linear layer
behind BatchNorm on the patches of the last layer, trained with AdamW, and
sliding windows at test.
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import optax

from jaxssl import errors
from jaxssl.data import dense
from jaxssl.data.dense import Pictures
from jaxssl.data.targets import Kind
from jaxssl.evals import confusion, dense_head, pixel_classes, sliding
from jaxssl.evals.needs import DenseFeatures
from jaxssl.evals.patch_features import PatchEncoder
from jaxssl.evals.table import headlines


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearSegmentation:
  """A linear layer on frozen patch features that names the class of each pixel.

  The head (`dense_head`) is trained with cross entropy over the pixels whose
  class is known, on random windows of the training pictures. Test pictures are
  cut into windows that overlap by a third; logits are averaged, and resized to
  the mask. Nothing is chosen on test pictures.

  Differs from the authors' configs: no photometric distortion of the training
  windows; the loss is averaged over the known pixels, not over all.

  Attributes:
    name: name and version.
    steps: steps of training.
    batch_size: windows per step.
    learning_rate: the largest one of AdamW.
    weight_decay: of AdamW.
    warmup_steps: steps in which the rate rises from 0; it falls in a line.
    size: side of a window in pixels; none is that of the encoder's pictures.
    side: what the shorter side of a picture becomes; none is that of a window.
    scale: training pictures are that much smaller and larger, drawn in between.
    seed: seed of the order, the windows and the first weights.
  """

  needs: ClassVar[type] = DenseFeatures
  target: ClassVar[Kind] = 'mask'
  name: str = 'linear_segmentation-v1'
  steps: int = 1000
  batch_size: int = 16
  learning_rate: float = 0.01
  weight_decay: float = 1e-4
  warmup_steps: int = 50
  size: int | None = None
  side: int | None = None
  scale: tuple[float, ...] = (1.0, 1.0)
  seed: int = 0

  check = pixel_classes.require
  table = headlines('miou', 'pixel_accuracy', 'class_accuracy')

  def __post_init__(self) -> None:
    """Raises `UserError` for numbers that make no sense."""
    if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1]:
      raise errors.UserError(
        f'scale is {self.scale}; give the smallest and the largest, above 0'
      )
    if min(self.steps, self.batch_size) < 1 or self.learning_rate <= 0:
      raise errors.UserError(
        'steps, batch_size and learning_rate must be above 0, not '
        f'{self.steps}, {self.batch_size} and {self.learning_rate}'
      )

  def run(
    self, patches: PatchEncoder, train: Pictures, test: Pictures
  ) -> dict[str, float]:
    """Trains the head and measures it.

    Args:
      patches: the encoder.
      train: training pictures with masks.
      test: test pictures with masks of the same classes.

    Returns:
      What `confusion.metrics` returns; `constant_miou`, that of the most
      frequent training class everywhere; `num_train`, `num_test`.

    Raises:
      jaxssl.errors.UserError: if the classes do not fit, no picture can be
        read, or the training diverges.
    """
    classes = pixel_classes.of_both(train, test)
    side = dense.side_of(self.side, patches.size)
    windows = dense.Windows(
      size=patches.size,
      side=side,
      scale=(self.scale[0], self.scale[1]),
      interpolation=patches.interpolation,
    )
    variables = dense_head.fit(
      dense_head.encoded(
        patches,
        dense.window_batches(
          train, windows, batch_size=self.batch_size, seed=self.seed
        ),
      ),
      num_outputs=len(classes.names),
      loss=cross_entropy,
      training=dense_head.Training(
        num_steps=self.steps,
        learning_rate=self.learning_rate,
        weight_decay=self.weight_decay,
        warmup_steps=self.warmup_steps,
        seed=self.seed,
      ),
    )
    predict = dense_head.predictor(patches, variables, len(classes.names))
    found = sliding.predictions(
      predict,
      sliding.windowed(test, patches, side=side),
      size=patches.size,
      batch_size=self.batch_size,
    )
    answers = ((truth, logits.argmax(axis=-1)) for truth, logits in found)
    return {
      **confusion.report(answers, classes),
      'num_train': train.num_read,
      'num_test': test.num_read,
    }


# DINOv2's numbers, for pictures whose shorter side is as long as a window.
DINOV2 = LinearSegmentation(
  name='linear_segmentation_dinov2-v1',
  steps=40_000,
  batch_size=16,
  learning_rate=1e-3,
  warmup_steps=1500,
  scale=(0.5, 2.0),
)


def cross_entropy(logits: jax.Array, classes: jax.Array) -> jax.Array:
  """Returns the mean cross entropy of the pixels whose class is known.

  Args:
    logits: of patches, [b, h, w, K]; pixels have what lies between them.
    classes: int [b, S, S], below 0 where unknown.
  """
  logits = dense_head.to_pixels(logits, classes.shape[1])
  known = classes >= 0
  losses = optax.softmax_cross_entropy_with_integer_labels(
    logits, jnp.where(known, classes, 0)
  )
  total = jnp.where(known, losses, 0.0).sum()
  return total / jnp.maximum(known.sum(), 1)
