"""BEiT: the visual tokens of hidden patches."""

import dataclasses

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl.fields import Count, check_fields
from jaxssl.methods import at_rest, block_masks, row_sums, variables
from jaxssl.methods.base import Batch, PyTree, RowSums
from jaxssl.methods.codebook import Codebook
from jaxssl.models import reinitialize
from jaxssl.models.drop_path import fold_keys
from jaxssl.models.dvae import STRIDE
from jaxssl.models.normed_tokens import require_mask_token
from jaxssl.models.vit import ViT
from jaxssl.ops.cross_entropy import label_entropy


@dataclasses.dataclass(frozen=True, kw_only=True)
class BEiT:
  """Classifies hidden patches into the codes of a frozen tokenizer.

  loss = mean over the hidden patches of the global batch of
         CE(softmax(W token + b), code of the patch)

  Rectangles of patches are hidden (`ops.masking.block_mask`): the encoder sees
  a learned token in their place. The code of a patch is the argmax of the
  tokenizer's logits on the same pixels, shrunk so that it makes one code a
  patch (224 pixels in patches of 16 become 112 pixels of a stride of 8).

  The batch must hold `pixels`, the first view before normalisation (recipe
  'beit'). At initialisation the loss is ln K for K codes: 9.01 for 8192.

  State: `tokenizer`, its variables, never changed.

  Attributes:
    encoder: a ViT with `use_mask_token` whose tokens pass its final norm. The
      authors: position 'relative', layer_scale 0.1 (ViT-B), drop_path 0.1.
    tokenizer: gives the codes. A config has the folder of its export, for
      example `runs/dvae/export` of a run of the method 'dvae'.
    num_masked: largest number of hidden patches; for 14x14 patches the authors
      take 75.
    min_block: smallest number of patches in a rectangle.

  References:
    Bao et al., BEiT: BERT Pre-Training of Image Transformers, 2021,
    https://arxiv.org/abs/2106.08254; beit/ of
    https://github.com/microsoft/unilm.

  Differs from the authors' code: the mean is over the hidden patches of the
  global batch instead of the average of each device's mean, so it does not
  depend on the number of devices; the tokenizer sees the view shrunk (Lanczos,
  antialiased) where the authors resize the crop twice from the picture; keys
  have a bias, on which no output depends.
  """

  encoder: ViT
  tokenizer: Codebook
  num_masked: Count = 75
  min_block: Count = 16

  loss = row_sums.mean_loss

  def __post_init__(self) -> None:
    """Raises `UserError` for values that do not go together."""
    require_mask_token('beit', self.encoder)
    check_fields(self)

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    images = batch['views'][0]
    encoder_key, head_key, redraw_key = jax.random.split(key, 3)
    (_, out), encoder = self.encoder.init_with_output(encoder_key, images)
    num_patches = out['patches'].shape[1]
    block_masks.check(self.num_masked, images, num_patches)
    head = self._head(self.tokenizer.encoder.vocab_size)
    params = {
      'encoder': encoder['params'],
      'head': head.init(head_key, out['patches'])['params'],
    }
    # Modules start as timm's do, the authors' start otherwise.
    params = reinitialize.truncated_normal(redraw_key, params)
    # Part of the state, though it never changes: as constants of the compiled
    # step its weights would be in no checkpoint.
    tokenizer = jax.tree.map(jnp.asarray, self.tokenizer.variables)
    return params, {'tokenizer': tokenizer}

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
    """See `RowWise.sums`."""
    del step, axis_name
    images = batch['views'][0]
    # Masks and dropped paths are drawn from keys of their own.
    mask = self.draw_mask(fold_keys(keys, 0), images)
    pixels = at_rest.pixels(batch, 'beit')
    codes = self.codes(state['tokenizer'], pixels)  # [b, N]
    logits, places, hidden = self.predict(
      params, images, mask, train=True, keys=fold_keys(keys, 1)
    )
    target = jnp.take_along_axis(codes, places, axis=1)  # [b, num_masked]
    # Rows hide different numbers of patches.
    entropy = label_entropy(logits, target)
    seen = {
      'right': ((logits.argmax(-1) == target) * hidden).sum(),
      'patches': jnp.asarray(mask.size, jnp.float32),
    }
    return RowSums((entropy * hidden).sum(), hidden.sum(), seen), {}

  def summarize(
    self, sums: RowSums, stats: PyTree
  ) -> tuple[dict[str, jax.Array], PyTree]:
    """See `RowWise.summarize`."""
    del stats
    # A search that finds no block leaves its mask empty (`ops.masking`).
    hidden = jnp.where(sums.weight > 0, sums.weight, 1.0)
    metrics = {
      'masked_top1': sums.seen['right'] / hidden,
      'masked_share': sums.weight / sums.seen['patches'],
    }
    return metrics, ()

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`."""
    del carry, step
    return params, state

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`."""
    del state
    return {'encoder': {'params': params['encoder']}}

  def draw_mask(self, keys: jax.Array, images: jax.Array) -> jax.Array:
    """Returns which patches of images are hidden, bool [b, N].

    Args:
      keys: typed PRNG keys [b], one per row.
      images: [b, H, W, C].
    """
    return block_masks.draw(
      keys,
      self.encoder.grid_of(images),
      num_masked=self.num_masked,
      min_block=self.min_block,
    )

  def predict(
    self,
    params: PyTree,
    images: jax.Array,
    mask: jax.Array,
    *,
    train: bool = False,
    keys: jax.Array | None = None,
  ) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Predicts the codes of hidden patches.

    Args:
      params: parameters from `init`.
      images: float32 [b, H, W, C], normalised.
      mask: bool [b, N], at most `num_masked` of a row True.
      train: drop paths.
      keys: typed PRNG keys [b] for them.

    Returns:
      Logits float32 [b, num_masked, K], the patches that they are of, int32
      [b, num_masked], and which of those are hidden (`block_masks`).
    """
    return block_masks.predict(
      self.encoder,
      self._head(params['head']['bias'].shape[0]),
      params,
      images,
      mask,
      num_masked=self.num_masked,
      train=train,
      keys=keys,
    )

  def codes(self, tokenizer: PyTree, pixels: jax.Array) -> jax.Array:
    """Returns the code of each patch, int32 [b, N].

    Args:
      tokenizer: its variables.
      pixels: float32 [b, H, W, C] in [0, 1].
    """
    rows, columns = self.encoder.grid_of(pixels)
    shape = (len(pixels), rows * STRIDE, columns * STRIDE, pixels.shape[-1])
    small = jax.image.resize(pixels, shape, 'lanczos3', antialias=True)
    _, out = variables.apply(
      self.tokenizer.encoder,
      tokenizer,
      # Lanczos' filter overshoots at edges.
      at_rest.normalize(jnp.clip(small, 0.0, 1.0), self.tokenizer),
    )
    codes = out['logits'].argmax(-1)
    return codes.reshape(len(pixels), -1).astype(jnp.int32)

  def _head(self, vocab_size: int) -> nn.Dense:
    # float32 whatever the encoder's type: a softmax over thousands of codes
    # follows.
    return nn.Dense(vocab_size, dtype=jnp.float32)
