"""What a pre-training method is."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

from flax import linen as nn
import jax

PyTree = Any
# By name, rows first: what `Method.loss` lists, and `pixels` where a recipe
# keeps them (`Entry.needs_pixels`).
Batch = dict[str, Any]


class Aux(NamedTuple):
  """What `Method.loss` returns besides the loss.

  Attributes:
    metrics: float32 scalars to log; the train step averages them over devices.
    carry: anything `Method.update` needs from this step (new batch statistics,
      keys for a queue, a mean of logits). Must be equal on all devices.
  """

  metrics: dict[str, jax.Array]
  carry: PyTree = ()


class Method(Protocol):
  """Four pure functions; hyperparameters are fields of a frozen dataclass.

  A method owns two pytrees. `params` is what the optimizer changes. `state` is
  all the rest it remembers between steps (target network, queue, centre, batch
  statistics, frozen tokenizer); the train loop saves and restores both without
  looking inside. Methods never see the config, the optimizer, the mesh or the
  compile mode.

  Implementations are `@dataclasses.dataclass(frozen=True, kw_only=True)`
  without a base class; this protocol only writes the contract down.
  """

  @property
  def encoder(self) -> nn.Module:
    """What is pre-trained; `export` has its variables under that name."""
    ...

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """Returns `(params, state)` for an augmented batch of these shapes."""
    ...

  def loss(
    self,
    params: PyTree,
    state: PyTree,
    batch: Batch,
    *,
    key: jax.Array,
    step: jax.Array,
    axis_name: str | None = None,
  ) -> tuple[jax.Array, Aux]:
    """Computes the loss to differentiate with respect to `params`.

    Args:
      params: trainable variables.
      state: what the method remembers; constant under differentiation.
      batch: `views`: tuple of float32 images [b, H_v, W_v, 3]; `label`: int32
        [b], -1 where unknown; `text`: int32 [b, L] for image-text methods, or
        [b, n, L] of n texts of each image.
      key: PRNG key of this step, equal on all devices.
      step: int32 scalar, number of finished optimizer steps.
      axis_name: mapped device axis, or None if `batch` is the global batch.

    Returns:
      The mean loss over the rows at hand (float32 scalar) and its `Aux`.
    """
    ...

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """Runs after the optimizer: moving averages, queues, clamps.

    Args:
      params: trainable variables, already updated by the optimizer.
      state: the state that `loss` saw.
      carry: `Aux.carry` of this step.
      step: int32 scalar, the same as in `loss`.

    Returns:
      `(params, state)` for the next step.
    """
    ...

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """Returns Flax variables of each tower worth keeping, by tower name."""
    ...


@runtime_checkable
class TakesTowers(Protocol):
  """A method that can start from more trained weights than the encoder's.

  Those of the encoder every method takes (`trained_start`): in `params` and
  `state` an encoder stands under the name `encoder`, of a slow network too, and
  statistics of an encoder alone under `stats`.
  """

  def with_towers(
    self, params: PyTree, state: PyTree, towers: Mapping[str, PyTree]
  ) -> tuple[PyTree, PyTree]:
    """Returns `(params, state)` of `Method.init` with trained weights in them.

    Args:
      params: parameters from `Method.init`.
      state: state from `Method.init`.
      towers: Flax variables by name, without the encoder.

    Raises:
      jaxssl.errors.UserError: if they are of another architecture.
    """
    ...


@runtime_checkable
class ImageText(Method, Protocol):
  """A method of an image tower and a text tower that end in one space."""

  @property
  def text_encoder(self) -> nn.Module:
    """Token ids [b, L] -> (features, out)."""
    ...

  @property
  def head(self) -> nn.Module:
    """Features -> [b, K]; each tower has one of its own."""
    ...

  @property
  def project_images(self) -> bool:
    """Whether the image tower has one."""
    ...

  def encode_image(self, towers: PyTree, images: jax.Array) -> jax.Array:
    """Returns unit vectors [b, K] of images, with variables of `export`."""
    ...

  def encode_text(self, towers: PyTree, text: jax.Array) -> jax.Array:
    """Returns unit vectors [b, K] of token ids, with variables of `export`."""
    ...


class Contrastive(Method, Protocol):
  """A method whose loss compares all rows of a batch.

  The class says so with `loss = contrast.loss`, which is made of these two
  functions: first what a network makes of each row, then what needs all rows. A
  batch can then be embedded in parts (`train.micro_batches`).
  """

  def embed(
    self,
    params: PyTree,
    state: PyTree,
    batch: Batch,
    *,
    keys: jax.Array,
    step: jax.Array,
    axis_name: str | None = None,
  ) -> tuple[PyTree, PyTree]:
    """Runs the encoders in training mode.

    Args:
      params: trainable variables.
      state: what the method remembers.
      batch: as in `loss`; any rows.
      keys: typed PRNG keys, one per row.
      step: as in `loss`.
      axis_name: as in `loss`, for batch statistics only.

    Returns:
      Arrays [b, ...], and the encoders' new batch statistics (a tree without
      leaves if there are none).
    """
    ...

  def compare(
    self,
    params: PyTree,
    state: PyTree,
    embeddings: PyTree,
    stats: PyTree,
    *,
    step: jax.Array,
    axis_name: str | None = None,
  ) -> tuple[jax.Array, Aux]:
    """Runs what sees all rows: heads with BatchNorm, and the loss.

    Args:
      params: trainable variables.
      state: what the method remembers.
      embeddings: embeddings of all rows at hand.
      stats: the encoders' new batch statistics.
      step: as in `loss`.
      axis_name: as in `loss`.

    Returns:
      What `loss` returns.
    """
    ...


class RowSums(NamedTuple):
  """Sums over rows that do not see each other.

  Attributes:
    loss: float32 scalar, sum of each row's weight times its loss.
    weight: float32 scalar, sum of the weights; does not depend on `params`.
    seen: any sums that metrics and `Method.update` need, without gradient.
  """

  loss: jax.Array
  weight: jax.Array
  seen: PyTree = ()


class RowWise(Method, Protocol):
  """A method whose loss is a weighted mean over rows that are independent.

  The class says so with `loss = row_sums.mean_loss`, which is made of these two
  functions: all that the method learns from a batch are sums over its rows. A
  batch can then be taken in parts (`train.micro_batches`), whose sums add up.
  """

  def sums(
    self,
    params: PyTree,
    state: PyTree,
    batch: Batch,
    *,
    keys: jax.Array,
    step: jax.Array,
    axis_name: str | None = None,
  ) -> tuple[RowSums, PyTree]:
    """Runs the networks in training mode.

    Args:
      params: trainable variables.
      state: what the method remembers.
      batch: as in `loss`; any rows.
      keys: typed PRNG keys, one per row.
      step: as in `loss`.
      axis_name: as in `loss`, for batch statistics only; the sums are those of
        the rows at hand.

    Returns:
      Sums, and new batch statistics (a tree without leaves if there are none).
    """
    ...

  def summarize(
    self, sums: RowSums, stats: PyTree
  ) -> tuple[dict[str, jax.Array], PyTree]:
    """Returns metrics and `Aux.carry` from the sums of the global batch."""
    ...
