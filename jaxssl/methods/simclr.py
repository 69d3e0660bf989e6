"""SimCLR: two views of an image attract, all other images repel."""

import dataclasses

from flax import linen as nn
import jax

from jaxssl.errors import UserError
from jaxssl.fields import Count, Positive
from jaxssl.methods import contrast, variables, view_rows
from jaxssl.methods.base import Aux, Batch, PyTree
from jaxssl.models import Net, SimCLRHead
from jaxssl.models.drop_path import fold_keys
from jaxssl.ops import contrastive

# The authors' code returns this many times the loss of the paper, which is the
# loss here: it sums the two directions where equation 1 averages them. To
# repeat the authors' numbers with SGD, multiply the learning rate and divide
# the weight decay by it; with LARS, the same, but the learning rate only of
# parameters without trust ratio. Adam feels only its epsilon.
AUTHORS_FACTOR = 2.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimCLR:
  """Contrasts the two views of each image with all views of the batch.

  The loss is NT-Xent (`ops.contrastive.nt_xent`) of z = head(encoder(view)).
  Both views go through the network in one forward pass, so BatchNorm sees the
  2B rows of the global batch together, as in the authors' code. Downstream,
  the encoder's output is used and the head is dropped.

  State: `stats`, the batch statistics of encoder and head.

  Attributes:
    encoder: module, images [b, H, W, 3] -> (features [b, D], out).
    head: module, [b, D] -> [b, K]; `SimCLRHead(num_layers=2)` is version 1 of
      the paper, 3 layers version 2.
    temperature: T; the authors use 0.1 for ImageNet, 0.5 for CIFAR-10.
    decoupled: leave the positive out of the denominator (`--method dcl`), so
      that small batches learn as well as large ones.
    chunk: columns of the matrix of logits at a time (`ops.negatives`); None for
      all, which is faster as long as they fit into memory.

  References:
    Chen et al., A Simple Framework for Contrastive Learning of Visual
    Representations, 2020, https://arxiv.org/abs/2002.05709 (algorithm 1);
    Chen et al., Big Self-Supervised Models are Strong Semi-Supervised
    Learners, 2020, https://arxiv.org/abs/2006.10029 (deeper head);
    https://github.com/google-research/simclr;
    Yeh et al., Decoupled Contrastive Learning, 2021,
    https://arxiv.org/abs/2110.06848.

  Differs from the authors' code: the loss is the paper's (`AUTHORS_FACTOR`);
  there is no linear classifier trained beside it on the stopped features,
  because the evaluation during training does not need labels in the step.
  """

  encoder: nn.Module
  head: nn.Module = dataclasses.field(default_factory=SimCLRHead)
  temperature: Positive = 0.1
  decoupled: bool = False
  chunk: Count | None = None

  loss = contrast.loss

  @property
  def net(self) -> Net:
    """Encoder and head as one module."""
    return Net(self.encoder, self.head)

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    return variables.split(self.net.init(key, batch['views'][0], train=False))

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
    """See `Contrastive.embed`.

    Raises:
      UserError: if there are not two views of each image; the rows of others
        would be taken for views of one another.
    """
    del step
    if len(batch['views']) != 2:
      raise UserError(f'SimCLR compares two views, not {len(batch["views"])}')
    (features, _), stats = variables.apply_part(
      'encoder',
      self.encoder,
      params,
      state,
      view_rows.interleave(batch['views']),
      axis_name=axis_name,
      keys=view_rows.interleave([fold_keys(keys, v) for v in range(2)]),
    )
    return list(view_rows.separate(features, 2)), stats

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
    """See `Contrastive.compare`."""
    del step
    # Interleaved again, so that BatchNorm in the head sees all 2B rows too, and
    # rows stay on their device.
    z, head_stats = variables.apply_part(
      'head',
      self.head,
      params,
      state,
      view_rows.interleave(embeddings),
      axis_name=axis_name,
    )
    loss, top1 = contrastive.nt_xent(
      *view_rows.separate(z, 2),
      temperature=self.temperature,
      decoupled=self.decoupled,
      chunk=self.chunk,
      axis_name=axis_name,
    )
    stats = variables.replace(state, stats, head_stats)
    return loss, Aux({'contrastive_top1': top1}, stats)

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`."""
    del state, step
    return params, carry

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`."""
    return {'encoder': variables.tower('encoder', params, state)}
